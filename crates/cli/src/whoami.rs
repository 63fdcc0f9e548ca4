//! `locum whoami`.

use crate::clock::{now, relative};
use crate::document;
use crate::failure::Failure;
use crate::output::{Output, facts};
use crate::session::Session;

/// Shows for whom the broker takes the caller.
pub(crate) async fn run(session: &Session, output: &Output) -> Result<(), Failure> {
    let who = session.client()?.who_am_i().await?;
    output.data(document::of("identity", document::identity(&who)), || {
        let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let tenants = if who.all_tenants { "all".to_owned() } else { who.tenants.join(", ") };
        let rows = [
            ("spiffe id", told(&who.spiffe_id)),
            ("login", told(&who.login_subject)),
            ("login issuer", told(&who.login_issuer)),
            ("role", told(&who.role)),
            ("name", told(&who.name)),
            ("tenants", told(&tenants)),
            ("owner", told(&who.owner)),
            ("model", told(&who.model)),
            ("serves", told(&who.serves.join(", "))),
            ("bound tokens", Some(if who.can_bind { "possible" } else { "not with this proof" }.to_owned())),
            ("proof ends", Some(relative(who.proof_end_time, now()))),
        ];
        facts(rows.into_iter().filter_map(|(name, fact)| Some((name, fact?))))
    })?;
    if who.name.is_empty() {
        output.warn("no workload is registered for this identity: an operator has to register it");
    }
    Ok(())
}
