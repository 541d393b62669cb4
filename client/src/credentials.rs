//! Who the client is: keys, and the signature of each request (spec B.2).

use crate::door;
use crate::error::Error;
use parking_lot::Mutex;
use ring::hmac;
use std::fmt;
use std::fmt::Write as _;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};

/// An access key with its secret, as the operator gave them.
///
/// `Debug` shows neither the secret nor the token.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key: String,
    secret: String,
    session_token: Option<String>,
}

impl Credentials {
    /// A user's name (`accessKey`) and secret (`secretKey`).
    pub fn new(access_key: impl Into<String>, secret: impl Into<String>) -> Credentials {
        Credentials { access_key: access_key.into(), secret: secret.into(), session_token: None }
    }

    /// Adds the token of a temporary session, which some providers hand out with a key.
    #[must_use]
    pub fn session_token(mut self, token: impl Into<String>) -> Credentials {
        self.session_token = Some(token.into());
        self
    }

    /// The value of `authorization` for a request whose `x-mq-date-time` is `date_time`.
    fn authorization(&self, date_time: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.secret.as_bytes());
        let signature = hmac::sign(&key, date_time.as_bytes());
        let mut text = format!(
            "MQv2-HMAC-SHA1 Credential={}, SignedHeaders=x-mq-date-time, Signature=",
            self.access_key
        );
        for byte in signature.as_ref() {
            // Writing to a string cannot fail. Upper case as the Java client; servers take both.
            let _ = write!(text, "{byte:02X}");
        }
        text
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// Signs requests. The signature covers the time only, so that one serves for a second.
pub(crate) struct Signer {
    credentials: Credentials,
    session_token: Option<AsciiMetadataValue>,
    latest: Mutex<Signed>,
}

#[derive(Clone)]
struct Signed {
    second: u64,
    date_time: AsciiMetadataValue,
    authorization: AsciiMetadataValue,
}

impl Signer {
    /// # Errors
    /// [`Error::Invalid`] for a key or token that cannot be a header's value.
    pub(crate) fn new(credentials: Credentials) -> Result<Signer, Error> {
        let second = door::unix_seconds();
        let session_token = credentials.session_token.as_deref().map(header).transpose()?;
        let latest = Mutex::new(sign(&credentials, second)?);
        Ok(Signer { credentials, session_token, latest })
    }

    /// Adds the headers that say who asks.
    pub(crate) fn add_to(&self, headers: &mut MetadataMap) {
        let Signed { date_time, authorization, .. } = self.at(door::unix_seconds());
        headers.insert("x-mq-date-time", date_time);
        headers.insert("authorization", authorization);
        if let Some(token) = &self.session_token {
            headers.insert("x-mq-session-token", token.clone());
        }
    }

    fn at(&self, second: u64) -> Signed {
        let mut latest = self.latest.lock();
        // Digits cannot fail to be a header's value; if they did, the older signature would do.
        if latest.second != second
            && let Ok(signed) = sign(&self.credentials, second)
        {
            *latest = signed;
        }
        latest.clone()
    }
}

fn sign(credentials: &Credentials, second: u64) -> Result<Signed, Error> {
    let date_time = date_time(second);
    let authorization = header(&credentials.authorization(&date_time))?;
    Ok(Signed { second, date_time: header(&date_time)?, authorization })
}

fn header(text: &str) -> Result<AsciiMetadataValue, Error> {
    // The text may hold a secret: it is not repeated.
    let what = || "access key and session token: no control characters".to_owned();
    AsciiMetadataValue::try_from(text).map_err(|_| Error::Invalid { what: what() })
}

/// `yyyyMMdd'T'HHmmss'Z'`, in UTC, of a second since 1970.
fn date_time(second: u64) -> String {
    const DAY: u64 = 86_400;
    let (year, month, day) = civil(second / DAY);
    let rest = second % DAY;
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day of a day since 1970, in the Gregorian calendar. Years are counted from
/// March, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    /// From 1 March 0000 to 1 January 1970.
    const BEFORE_1970: u64 = 719_468;
    let days = days + BEFORE_1970;
    let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day + 2) / 153;
    let day = day - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_official_clients() {
        // printf %s 20260822T101112Z | openssl dgst -sha1 -hmac secret
        let credentials = Credentials::new("key", "secret");
        assert_eq!(
            credentials.authorization("20260822T101112Z"),
            "MQv2-HMAC-SHA1 Credential=key, SignedHeaders=x-mq-date-time, \
             Signature=5D1FB76653B88535FF317C683626B7512F46409A"
        );
    }

    #[test]
    fn times_are_written_as_the_official_clients_do() {
        for (second, text) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_799, "20000229T235959Z"),
            (951_868_800, "20000301T000000Z"),
            (1_735_689_599, "20241231T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(date_time(second), text);
        }
    }

    #[test]
    fn a_signature_is_made_once_a_second_and_goes_with_its_time() {
        let signer = Signer::new(Credentials::new("k", "s").session_token("token")).unwrap();
        let (first, again, next) = (signer.at(10), signer.at(10), signer.at(11));
        assert_eq!(first.authorization, again.authorization);
        assert_ne!(first.authorization, next.authorization);
        assert_eq!(next.date_time, "19700101T000011Z");
        let mut headers = MetadataMap::new();
        signer.add_to(&mut headers);
        assert_eq!(headers.get("x-mq-session-token").unwrap(), "token");
    }

    #[test]
    fn secrets_are_not_shown_and_a_key_is_one_line() {
        let credentials = Credentials::new("key", "hush").session_token("quiet");
        let shown = format!("{credentials:?}");
        assert!(shown.contains("key") && !shown.contains("hush") && !shown.contains("quiet"));
        assert!(Signer::new(Credentials::new("two\nlines", "s")).is_err());
    }
}
