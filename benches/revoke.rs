//! A durable revocation of everything a workload has, beside one bare `fdatasync`.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use locum_benches::{OnDisk, filled_table, median, timed};
use locum_broker::{Operator, Tenants};
use locum_model::event::{By, Revoked};
use locum_model::{Committed, Event, Position, Selector, Target, WorkloadNo};

const TIMES: usize = 200;

#[expect(clippy::print_stdout, reason = "the answer of a bench")]
fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let on_disk = runtime.block_on(OnDisk::open());
    let operator = Operator { name: "bench".into(), tenants: Tenants::All };
    let selector = || Selector::Workload("refunder".parse().expect("plain"));
    let revoke = || {
        let revoked = on_disk.broker.revoke(&operator, selector(), "bench", None);
        runtime.block_on(revoked).expect("revoked")
    };
    let durable = median((0..TIMES).map(|_| timed(revoke).1).collect());
    let sync = median(bare_syncs(on_disk.dir.path()));
    let ratio = durable.as_secs_f64() / sync.as_secs_f64();
    println!(
        "revoke, durable                     {durable:>12.1?}   {ratio:.2}x of one fdatasync ({sync:.1?})"
    );
    for tokens in [1, 1_000, 1_000_000] {
        let table = filled_table(tokens);
        let (_, took) = timed(|| table.apply(&revocation(tokens)));
        println!("its effect on {tokens:>9} live tokens  {took:>12.1?}");
    }
}

fn revocation(tokens: u64) -> Committed<Event> {
    let revoked = Revoked {
        selector: Selector::Workload("refunder".parse().expect("plain")),
        targets: vec![Target::Workload(WorkloadNo(1))],
        until: None,
        reason: "bench".into(),
        by: By::Broker,
        at: locum_benches::ISSUED,
    };
    let position = Position { home: 1, epoch: 1, sequence: 4 * tokens + 4 };
    Committed::assertion(Event::Revoked(Box::new(revoked)), position)
}

/// One write of a few hundred bytes and one `fdatasync`, in a file that has its size already.
fn bare_syncs(dir: &Path) -> Vec<Duration> {
    let mut file = File::create(dir.join("bare")).expect("a file");
    file.write_all(&vec![0; 1 << 20]).and_then(|()| file.sync_all()).expect("written");
    (0..TIMES as u64)
        .map(|n| {
            let write = || {
                file.seek(SeekFrom::Start(n * 512)).expect("sought");
                file.write_all(&[1; 400]).and_then(|()| file.sync_data()).expect("synced");
            };
            timed(write).1
        })
        .collect()
}
