//! `locum token request|introspect|decode`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use locum_sdk::Checker;
use serde_json::{Map, Value, json};

use crate::args::{DecodeArgs, IntrospectArgs, RequestArgs, TokenCommand};
use crate::clock::{now, relative};
use crate::failure::Failure;
use crate::output::{Format, Output, Sheet, escaped, long, plain, table};
use crate::private_file::replace;
use crate::session::Session;
use crate::{document, input, task, token_form, token_list};

const WARNING: &str = "NOT VERIFIED: nobody checked its signature, its time or its revocation";
/// A command line is no place for a token, and so it is not shown again.
const TOKEN_FOR_CONNECTOR: &str = "that is a token, and a connector is expected: the token is read from standard input or \
                                   `--token-file`";

/// Runs one of the verbs.
pub(crate) async fn run(command: TokenCommand, session: &Session, output: &Output) -> Result<(), Failure> {
    match command {
        TokenCommand::Request(args) => request(args, session, output).await,
        TokenCommand::Introspect(args) => introspect(args, session, output).await,
        TokenCommand::List(args) => token_list::run(args, session, output).await,
        TokenCommand::Decode(args) => decode(&args, output),
    }
}

async fn request(args: RequestArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let (handle, _) = task::held(&args.held, session)?;
    let mut builder = handle.token(&args.connector).uses_max(args.uses_max);
    for scope in &args.scopes {
        let (operation, resources) = input::scope(scope);
        builder = builder.scope(&input::operation(operation, &args.connector), resources);
    }
    if let Some(ttl) = args.ttl {
        builder = builder.ttl(ttl);
    }
    if args.bind_to_certificate {
        builder = builder.bind_to_certificate();
    }
    let format = output.format();
    if format == Format::File && args.to.is_none() {
        return Err(Failure::Usage("`-o file` needs `--to FILE`".to_owned()));
    }
    if args.to.is_some() && matches!(format, Format::Json | Format::Jsonl | Format::Name) {
        return Err(Failure::Usage("`--to` takes a form in which programs read a token".to_owned()));
    }
    let token = builder.source()?.get().await?;
    output.note(&format!("{} for `{}`, {}", token.jti(), args.connector, expiry(token.expire_time())));
    let form = token_form::text(format, &token);
    if let (Some(file), Some(text)) = (&args.to, &form) {
        return replace(file, text).map_err(|error| input::unreadable(file, &error));
    }
    if let (true, Some(text)) = (format.is_for_tokens(), &form) {
        return output.text(text);
    }
    let value = json!({
        "token": token.expose(),
        "jti": token.jti().to_string(),
        "expire_time": document::time(token.expire_time()),
        "scope": document::scope(token.scope()),
        "audience": token.audience(),
    });
    output.data(document::of("token", value), || token.expose().to_owned())
}

fn expiry(at: locum_model::Timestamp) -> String {
    format!("expires {}", relative(at, now()))
}

async fn introspect(args: IntrospectArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    if parts(&args.connector).is_some() {
        return Err(Failure::Usage(TOKEN_FOR_CONNECTOR.to_owned()));
    }
    let token = input::token(args.token.token_file.as_deref())?;
    let checker = Checker::new(session.client()?);
    let Some(verified) = checker.introspect(token.as_str(), &args.connector).await? else {
        output.data(document::of("token", json!({ "active": false })), || "inactive".to_owned())?;
        return Err(Failure::Denied("the token is not active".to_owned()));
    };
    output.data(document::of("token", document::verified(&verified)), || {
        let rows = [
            ("active", "yes".to_owned()),
            ("jti", verified.jti().to_string()),
            ("subject", verified.subject().to_owned()),
            ("client_id", verified.client_id().to_owned()),
            ("audience", verified.audience().to_owned()),
            ("scope", verified.scope().to_string()),
            ("task", verified.task().to_string()),
            ("issued", relative(verified.issue_time(), now())),
            ("expires", relative(verified.expire_time(), now())),
        ];
        table(&[], rows.into_iter().map(|(name, fact)| vec![name.to_owned(), fact]))
    })
}

fn decode(args: &DecodeArgs, output: &Output) -> Result<(), Failure> {
    let token = input::token(args.token_file.as_deref())?;
    let not_one = || Failure::Usage("not a token: three parts of base64url JSON joined by dots".to_owned());
    let (header, claims) = parts(&token).ok_or_else(not_one)?;
    output.note(WARNING);
    let value = json!({ "verified": false, "header": header, "claims": claims });
    output.data(document::of("token", value), || {
        let rows = |part: &'static str, fields: &Map<String, Value>| -> Vec<Vec<String>> {
            fields
                .iter()
                .map(|(name, value)| vec![part.to_owned(), name.clone(), shown(name, value)])
                .collect()
        };
        let columns = [plain("UNVERIFIED"), plain("NAME"), long("VALUE")];
        output.sheet(&Sheet::new(&columns, [rows("header", &header), rows("claim", &claims)].concat()))
    })
}

/// Header and claims, every text in them escaped.
fn parts(token: &str) -> Option<(Map<String, Value>, Map<String, Value>)> {
    let mut parts = token.split('.');
    let (header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some((object(header)?, object(claims)?))
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    match harmless(serde_json::from_slice(&bytes).ok()?) {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

fn harmless(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(escaped(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(harmless).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (escaped(&name), harmless(value))).collect())
        }
        other => other,
    }
}

/// A value for people; times say how far away they are.
fn shown(name: &str, value: &Value) -> String {
    let seconds = value.as_i64().filter(|_| matches!(name, "exp" | "iat" | "nbf"));
    match (seconds, value) {
        (Some(seconds), _) => {
            format!("{seconds} ({})", relative(locum_model::Timestamp::from_seconds(seconds), now()))
        }
        (None, Value::String(text)) => text.clone(),
        (None, other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_is_three_parts_of_which_two_are_objects() {
        assert!(parts(&token(r#"{"alg":"none"}"#, r#"{"sub":"a"}"#)).is_some());
        for bad in ["", "a", "a.b", "..", "e30.e30", "e30.e30.x.y", "e30.W10.x", "!!!.e30.x", "e30=.e30.x"] {
            assert!(parts(bad).is_none(), "{bad}");
        }
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(parts(&token("{}", &format!("{{\"a\":{deep}}}"))).is_none(), "nested without end");
    }

    #[test]
    fn what_a_token_says_cannot_steer_a_terminal() {
        let hostile = token("{}", "{\"s\\u202eub\":[\"\\u001b[2J\"]}");
        let (_, claims) = parts(&hostile).expect("a token");
        let text = Value::Object(claims).to_string();
        assert!(!text.contains('\u{202e}') && !text.contains('\u{1b}'), "{text:?}");
    }
}
