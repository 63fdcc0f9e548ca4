//! `locum verifier list`: who follows the revocation feed, and how far each is.

use locum_sdk::admin::Verifier;

use crate::args::{VerifierCommand, VerifierListArgs};
use crate::clock::{largest, now, relative};
use crate::document;
use crate::failure::Failure;
use crate::output::{Output, Sheet, long, plain, wide};
use crate::session::Session;

const PAGE_SIZE: u32 = 500;

/// Runs the verb.
pub(crate) async fn run(command: VerifierCommand, session: &Session, output: &Output) -> Result<(), Failure> {
    let VerifierCommand::List(VerifierListArgs { limit }) = command;
    let admin = session.client()?.admin();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut verifiers, mut page) = (Vec::new(), String::new());
    loop {
        let size = PAGE_SIZE.min(u32::try_from(limit - verifiers.len()).unwrap_or(PAGE_SIZE));
        let listed = admin.list_verifiers(size, &page).await?;
        verifiers.extend(listed.items);
        page = listed.next;
        if page.is_empty() || verifiers.len() >= limit {
            break;
        }
    }
    let more = !page.is_empty();
    let values = verifiers.iter().map(document::verifier).collect();
    output.data(document::listing("verifiers", values, more), || rows(&verifiers, output))?;
    if more {
        output.note(&format!("there are more than {limit}: raise `--limit`"));
    }
    Ok(())
}

/// Verifiers for people: who is behind, and for how long.
pub(crate) fn rows(verifiers: &[Verifier], output: &Output) -> String {
    let now = now();
    let columns = [
        long("WORKLOAD"),
        long("CONNECTOR"),
        long("INSTANCE"),
        plain("STATE"),
        plain("BEHIND"),
        plain("LEASE LEFT"),
        long("VERSION"),
        wide("CONNECTED"),
        wide("SEQUENCE"),
        wide("TENANT"),
    ];
    let row = |verifier: &Verifier| {
        vec![
            verifier.workload.clone(),
            verifier.connector.clone(),
            verifier.instance.clone(),
            if verifier.connected { "connected" } else { "gone" }.to_owned(),
            behind(verifier).unwrap_or_else(|| "no".to_owned()),
            format!("{} ms", verifier.lease_left.as_millis()),
            verifier.version.clone(),
            relative(verifier.connect_time, now),
            verifier.acknowledged_sequence.to_string(),
            verifier.tenant.clone(),
        ]
    };
    output.sheet(&Sheet::new(&columns, verifiers.iter().map(row)))
}

/// How many positions a verifier lacks, and for how long; none when it has everything.
pub(crate) fn behind(verifier: &Verifier) -> Option<String> {
    let told = || format!("{} for {}", verifier.behind, largest(verifier.behind_for.as_secs()));
    (verifier.behind > 0).then(told)
}
