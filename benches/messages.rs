//! What MCP carries.

/// Bytes.
pub const KIB: usize = 1_024;

/// Bytes.
pub const MIB: usize = 1_024 * KIB;

/// A request of exactly this size, 40 bytes at least, without a line break: a ping, or a tool call that changes an object in
/// a scene and has a piece of source code in it, as long as it takes.
///
/// # Panics
/// If there is no such request.
pub fn payload(size: usize) -> Vec<u8> {
    const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    const HEAD: &str = r#"{"jsonrpc":"2.0","id":4711,"method":"tools/call","params":{"name":"manage_gameobject","arguments":{"action":"modify","target":"Environment/Enemies/Spawner (3)","search_method":"by_path","position":[12.5,0.25,-48.75],"rotation":[0,90,0],"set_active":true,"components_to_add":["Rigidbody","BoxCollider",{"typeName":"EnemySpawner","properties":{"interval":2.5,"maximum":16,"waypoints":[{"x":1,"y":0,"z":2},{"x":3.5,"y":0,"z":4}]}}],"component_properties":{"Rigidbody":{"mass":12.5,"useGravity":true,"constraints":null},"BoxCollider":{"size":{"x":1,"y":2,"z":1},"isTrigger":false}},"source":""#;
    const SOURCE: &str = r#"    public void OnTriggerEnter(Collider other)\n    {\n        if (other.CompareTag(\"Player\")) { Spawn(transform.position, count: 3); }\n    }\n\n"#;
    const TAIL: &str = r#""},"_meta":{"progressToken":17}}}"#;
    let fixed = HEAD.len() + TAIL.len();
    let mut payload = Vec::with_capacity(size);
    if size < fixed {
        payload.extend_from_slice(PING.as_bytes());
        assert!(size >= PING.len(), "no request is that small");
        payload.resize(size, b' ');
        return payload;
    }
    payload.extend_from_slice(HEAD.as_bytes());
    while payload.len() + SOURCE.len() + TAIL.len() <= size {
        payload.extend_from_slice(SOURCE.as_bytes());
    }
    payload.resize(size - TAIL.len(), b'x');
    payload.extend_from_slice(TAIL.as_bytes());
    payload
}
