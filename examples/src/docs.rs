//! Fetches pages of Unity's documentation.

use crate::logic::docs::Page;
use crate::tls::choose_ring;
use futures::StreamExt;
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, StatusCode, Url};
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The whole of a page, from the name's look-up to the last byte.
const PAGE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);
/// The largest page that is read. Unity's longest are about 1 MiB.
const MOST_BYTES: usize = 4 * 1024 * 1024;
const REDIRECTS: usize = 5;

/// Where Unity's documentation is, and how it is fetched.
///
/// A page may take 10 s and 4 MiB, and be moved 5 times, within the site's own domain and never from https to http. Proxies are
/// those of the environment (`HTTPS_PROXY`, `NO_PROXY`); certificates those that this machine trusts.
#[derive(Clone, Debug)]
pub struct Docs(Arc<Site>);

struct Site {
    url: Url,
    /// The same without a user and his password, with whom pages are fetched: clients are told this one.
    told: Url,
    client: OnceLock<Result<Client, String>>,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Site").field(&self.told.as_str()).finish()
    }
}

impl Docs {
    /// Unity's own site.
    pub fn official() -> Self {
        crate::logic::docs::SITE.parse().expect("it is a URL")
    }

    /// Where they are fetched from, without a user's name.
    pub fn shown(&self) -> String {
        let host = self.0.url.host_str().unwrap_or_default();
        format!("{}://{host}", self.0.url.scheme())
    }

    fn client(&self) -> Result<&Client, Failed> {
        let client = self.0.client.get_or_init(|| {
            choose_ring();
            let own = self.0.told.clone();
            let builder = Client::builder()
                .user_agent(concat!("mcp-transport-unity/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT)
                .timeout(PAGE)
                .redirect(Policy::custom(move |attempt| follow(&own, attempt)));
            let builder = match self.0.url.host_str() {
                // No proxy knows this machine by that name.
                Some("127.0.0.1" | "localhost" | "[::1]") => builder.no_proxy(),
                _ => builder,
            };
            builder.build().map_err(|error| chain(&error))
        });
        client.as_ref().map_err(|why| Failed {
            cause: "no_client",
            text: format!("This server cannot fetch pages: {why}."),
        })
    }

    /// The page's data: what it says, or that there is none.
    ///
    /// # Errors
    /// It could not be fetched, which says nothing of whether it is there.
    ///
    /// # Cancel safety
    /// Dropping the future ends the fetch.
    pub async fn page(&self, page: &Page) -> Result<Value, Failed> {
        for path in &page.paths {
            let below = |site: &Url| format!("{}{path}", site.as_str().trim_end_matches('/'));
            let asked = below(&self.0.told);
            if let Some((came, html)) = self.fetch(&below(&self.0.url), &asked).await? {
                return Ok(page.found(&asked, &came, &html));
            }
        }
        Ok(page.missing())
    }

    /// The address that it came from, and the text; `None` if there is no such page.
    async fn fetch(&self, from: &str, url: &str) -> Result<Option<(String, String)>, Failed> {
        let failed = |error: &reqwest::Error| Failed::fetching(url, error);
        let answer = self.client()?.get(from).send().await;
        let answer = answer.map_err(|error| failed(&error))?;
        let came = answer.url().to_string();
        match answer.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            status if status.is_success() => {}
            status => return Err(Failed::status(url, status)),
        }
        let (mut html, mut body) = (Vec::new(), answer.bytes_stream());
        while let Some(chunk) = body.next().await {
            html.extend_from_slice(&chunk.map_err(|error| failed(&error))?);
            if html.len() > MOST_BYTES {
                return Err(Failed {
                    cause: "too_large",
                    text: format!("The page {url} is larger than 4 MiB, and was not read."),
                });
            }
        }
        Ok(Some((came, String::from_utf8_lossy(&html).into_owned())))
    }
}

impl FromStr for Docs {
    type Err = String;

    /// A mirror's URL.
    fn from_str(text: &str) -> Result<Self, String> {
        let site = Url::parse(text).map_err(|error| error.to_string())?;
        if !matches!(site.scheme(), "http" | "https") || site.host_str().is_none() {
            return Err("not a URL of the form https://docs.unity3d.com".to_owned());
        }
        let mut told = site.clone();
        // It has a host, so it can be without a user.
        let _ = told.set_username("").and_then(|()| told.set_password(None));
        Ok(Self(Arc::new(Site {
            url: site,
            told,
            client: OnceLock::new(),
        })))
    }
}

impl Default for Docs {
    fn default() -> Self {
        Self::official()
    }
}

fn follow(own: &Url, attempt: Attempt<'_>) -> Action {
    let (url, hops) = (attempt.url().clone(), attempt.previous().len());
    let downgrade = url.scheme() != "https"
        && attempt
            .previous()
            .iter()
            .any(|before| before.scheme() == "https");
    if hops > REDIRECTS {
        attempt.error("it was moved too often")
    } else if downgrade || !is_ours(own, &url) {
        attempt.error(format!("it was moved to {url}, which is not followed"))
    } else {
        attempt.follow()
    }
}

/// Whether a page may be moved there: the site's own host and port, the same with TLS, or one of Unity's. Another port of a host
/// is another server.
fn is_ours(own: &Url, to: &Url) -> bool {
    let host = to.host_str().unwrap_or_default();
    // No port is told where it is the scheme's own.
    let usual = to.port().is_none();
    if own.host_str() == Some(host) {
        let same = own.port_or_known_default() == to.port_or_known_default();
        return same || (usual && own.port().is_none());
    }
    usual && (host.ends_with(".unity3d.com") || host.ends_with(".unity.com"))
}

/// Why a page could not be had.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
#[non_exhaustive]
pub struct Failed {
    /// One stable word, for programs.
    pub cause: &'static str,
    /// What happened, and what to do next.
    pub text: String,
}

impl Failed {
    fn fetching(url: &str, error: &reqwest::Error) -> Self {
        let (cause, next) = if error.is_timeout() {
            ("timed_out", "It may be slow: try again.")
        } else if error.is_redirect() {
            ("redirected", "Another page may have what is wanted.")
        } else {
            (
                "unreachable",
                "Is this machine online? A proxy is taken from HTTPS_PROXY. Without the web, unity_reflect knows the API of the open project.",
            )
        };
        let why = chain(error);
        Self {
            cause,
            text: format!("The page {url} could not be fetched: {why}. {next}"),
        }
    }

    fn status(url: &str, status: StatusCode) -> Self {
        let (cause, next) = match status.as_u16() {
            429 | 500..=599 => (
                "site_failed",
                "That is the site's own trouble: try again later.",
            ),
            _ => (
                "site_refused",
                "The site does not give that page to this server.",
            ),
        };
        Self {
            cause,
            text: format!("{url} was answered with {status}. {next}"),
        }
    }

    /// The answer of a tool that needed the page.
    pub fn answer(&self) -> Value {
        json!({
            "success": false, "error": self.cause, "message": self.text,
            "data": {"found": false, "cause": self.cause},
        })
    }
}

/// An error with its reasons, which are the telling part.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_be_moved_within_its_host_and_port_or_to_one_of_unitys_and_nowhere_else() {
        let may = |own: &str, to: &str| is_ours(&own.parse().unwrap(), &to.parse().unwrap());
        let site = "https://docs.unity3d.com/";
        for to in [
            "https://docs.unity3d.com/6000.0/x.html",
            "https://docs.unity3d.com:443/x.html",
            "https://docs.unity.com/x.html",
        ] {
            assert!(may(site, to), "{to}");
        }
        for to in [
            "https://docs.unity3d.com:8443/x.html",
            "https://other.unity3d.com:8443/x.html",
            "https://unity3d.com.example/x.html",
            "https://evilunity3d.com/x.html",
        ] {
            assert!(!may(site, to), "{to}");
        }
        let mirror = "http://127.0.0.1:8001/";
        assert!(may(mirror, "http://127.0.0.1:8001/y.html"));
        for to in [
            "http://127.0.0.1:8002/y.html",
            "http://127.0.0.1/y.html",
            "https://127.0.0.1/",
        ] {
            assert!(!may(mirror, to), "{to}");
        }
        assert!(may("http://docs.example/", "https://docs.example/x.html"));
    }

    #[tokio::test]
    async fn whoever_asks_for_a_page_does_not_learn_the_mirrors_password() {
        // Nobody listens there any more.
        let port = mcp_transport_core::loopback::Loopback::bind(0)
            .unwrap()
            .local_port();
        let url = format!("http://me:s3cret@127.0.0.1:{port}/mirror/");
        let docs: Docs = url.parse().unwrap();
        let failed = docs.page(&Page::manual("x", None)).await.unwrap_err();
        let page = format!("http://127.0.0.1:{port}/mirror/Manual/x.html");
        assert!(failed.text.contains(&page), "{failed}");
        assert!(
            !failed.text.contains("s3cret") && !failed.text.contains("me:"),
            "{failed}"
        );
        assert!(!format!("{docs:?}").contains("s3cret"));
    }
}
