//! Pages of lists: `Marker` and `MaxItems`.

use serde_json::{Map, Value};

use super::errors::Failure;
use super::reply::Reply;
use super::request::Request;
use super::validation::Violations;

/// Lambda gives at most this many items a page, whatever is asked.
const LARGEST_PAGE: usize = 50;

/// Answers with the page that is asked for. A marker is the number of items before the page.
pub(super) fn page(request: &Request<'_>, member: &str, items: Vec<Value>) -> Result<Reply, Failure> {
    let wanted = match request.query("MaxItems") {
        Some(text) => {
            let number: i64 = text.parse().map_err(|_| {
                Failure::serialization("STRING_VALUE can not be converted to an Integer".to_owned())
            })?;
            let mut violations = Violations::default();
            violations.range(number, "maxItems", 1, 10_000);
            violations.check()?;
            usize::try_from(number).unwrap_or(LARGEST_PAGE)
        }
        None => LARGEST_PAGE,
    };
    let size = wanted.min(LARGEST_PAGE);
    let start = match request.query("Marker").filter(|marker| !marker.is_empty()) {
        Some(marker) => marker.parse().map_err(|_| Failure::invalid_parameter("Invalid Marker."))?,
        None => 0_usize,
    };
    let end = start.saturating_add(size);
    let more = end < items.len();
    let mut body = Map::new();
    body.insert(member.to_owned(), items.into_iter().skip(start).take(size).collect());
    if more {
        body.insert("NextMarker".to_owned(), end.to_string().into());
    }
    Ok(Reply::json(200, Value::Object(body)))
}
