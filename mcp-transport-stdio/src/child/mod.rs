/// x
pub struct ChildConnector;
/// x
pub struct ChildTransport;
