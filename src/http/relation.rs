//! `GET /v1/relation`: the neighbour rule over HTTP, with what it rests on.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::routes::{Shared, TEXT_TYPE, page, percent_decoded};
use crate::feed::relation::{Answer, Question};

/// What it answers with.
const JSON_TYPE: &str = "application/json";

/// Answer a question: `ip`, `helo` and `from` in the query.
pub async fn answer(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    let Some(relation) = &shared.relation else {
        let text = "The neighbour rule is not enabled; set `enabled = true` in [relation].\n";
        return page(StatusCode::NOT_FOUND, TEXT_TYPE, text.to_owned());
    };
    match question(uri.query().unwrap_or_default()) {
        Ok(question) => {
            let answer = relation.ask(&question).await;
            page(StatusCode::OK, JSON_TYPE, json(&question, &answer))
        }
        Err(why) => page(StatusCode::BAD_REQUEST, TEXT_TYPE, format!("{why}\n")),
    }
}

/// The question in a query. Errors: what is missing or wrong.
fn question(query: &str) -> Result<Question, String> {
    let (mut ip, mut helo, mut from) = (None, None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // In a query a `+` may stand for a blank, which no address or name has; in an address it stands for itself.
        let value = percent_decoded(value);
        let place = match name {
            "ip" => &mut ip,
            "helo" => &mut helo,
            "from" => &mut from,
            _ => return Err(format!("There is no `{}`; expected ip=, helo= and from=.", name.escape_debug())),
        };
        if place.replace(value).is_some() {
            return Err(format!("`{name}` is given twice."));
        }
    }
    let ip = ip.ok_or("`ip` is missing: the address of the client that brought the message.")?;
    let ip: IpAddr = ip.parse().map_err(|_| format!("`{}` is no address.", ip.escape_debug()))?;
    let from = from.ok_or("`from` is missing: the envelope sender, empty for the null sender.")?;
    Ok(Question { ip, helo: helo.unwrap_or_default(), from })
}

/// An answer as JSON, in one line.
fn json(question: &Question, answer: &Answer) -> String {
    let object = serde_json::json!({
        "result": answer.word.word(),
        "bounce": answer.word.bounce(),
        "ip": question.ip.to_string(),
        "helo": question.helo,
        "from": question.from,
        "domain": answer.domain,
        "spf": answer.spf.map(|spf| spf.word()),
        "why": answer.why,
        "records": answer.records,
    });
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions() {
        let asked = |ip: &str, helo: &str, from: &str| Question {
            ip: ip.parse().unwrap(),
            helo: helo.to_owned(),
            from: from.to_owned(),
        };
        for (query, expected) in [
            ("ip=192.0.2.1&helo=h&from=a@b.example", Ok(asked("192.0.2.1", "h", "a@b.example"))),
            ("from=a%2Bc%40b.example&ip=2001%3Adb8::1", Ok(asked("2001:db8::1", "", "a+c@b.example"))),
            ("ip=192.0.2.1&from=a+c@b.example", Ok(asked("192.0.2.1", "", "a+c@b.example"))),
            ("ip=192.0.2.1&from=", Ok(asked("192.0.2.1", "", ""))),
            ("ip=192.0.2.1", Err("`from` is missing")),
            ("from=a", Err("`ip` is missing")),
            ("ip=here&from=a", Err("`here` is no address")),
            ("ip=192.0.2.1&ip=192.0.2.2&from=a", Err("`ip` is given twice")),
            ("ip=192.0.2.1&from=a&sender=b", Err("There is no `sender`")),
        ] {
            match (question(query), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{query}"),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{query}: {why}"),
                (found, _) => panic!("{query}: {found:?}"),
            }
        }
    }
}
