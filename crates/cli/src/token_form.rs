//! The forms in which other programs take a token: `locum token request -o header|env-file|…`.

use locum_sdk::Token;
use serde_json::json;

use crate::document;
use crate::output::Format;

/// The token in this form, bare where people read it; none where it is a part of a document.
pub(crate) fn text(format: Format, token: &Token) -> Option<String> {
    let (secret, expires) = (token.expose(), document::time(token.expire_time()));
    Some(match format {
        Format::File | Format::Table | Format::Wide => secret.to_owned(),
        Format::Header => format!("Authorization: Bearer {secret}"),
        Format::EnvFile => format!("LOCUM_TOKEN={secret}\nLOCUM_TOKEN_EXPIRE_TIME={}", expires),
        Format::CredentialProcess => {
            json!({ "Version": 1, "Token": secret, "Expiration": expires }).to_string()
        }
        Format::ExecCredential => json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": { "token": secret, "expirationTimestamp": expires },
        })
        .to_string(),
        Format::Json | Format::Jsonl | Format::Name => return None,
    })
}
