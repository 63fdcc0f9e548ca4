//! `locum key list|rotate`.

use locum_sdk::admin::Key;
use serde_json::Value;

use crate::args::KeyCommand;
use crate::clock::{now, relative};
use crate::document;
use crate::failure::Failure;
use crate::output::{Output, Sheet, long, plain, wide};
use crate::session::Session;

/// Runs one of the verbs.
pub(crate) async fn run(command: KeyCommand, session: &Session, output: &Output) -> Result<(), Failure> {
    let admin = session.client()?.admin();
    match command {
        KeyCommand::List => {
            let keys = admin.list_keys().await?;
            let values = Value::Array(keys.iter().map(document::key).collect());
            output.data(document::of("keys", values), || rows(&keys, output))
        }
        KeyCommand::Rotate(args) => {
            let rotation = admin.rotate_key(args.algorithm.as_deref()).await?;
            output.note(&format!("it signs {}", relative(rotation.activate_time, now())));
            let mut value = document::key(&rotation.key);
            value["activate_time"] = Value::String(document::time(rotation.activate_time));
            output.data(document::of("key", value), || rows(std::slice::from_ref(&rotation.key), output))
        }
    }
}

fn rows(keys: &[Key], output: &Output) -> String {
    let now = now();
    let row = |key: &Key| {
        vec![
            key.purpose.clone(),
            key.algorithm.clone(),
            key.state.clone(),
            relative(key.publish_time, now),
            key.kid.clone(),
            relative(key.state_time, now),
        ]
    };
    let columns =
        [plain("PURPOSE"), plain("ALG"), plain("STATE"), plain("PUBLISHED"), long("KID"), wide("SINCE")];
    output.sheet(&Sheet::new(&columns, keys.iter().map(row)))
}
