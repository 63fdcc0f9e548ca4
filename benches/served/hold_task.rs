//! Row 15: task leases held open, each by a stream of its own.

use std::sync::Arc;

use locum_api::broker::v1 as wire;
use locum_benches::process::Cores;
use locum_benches::served::{HOLD_TASK, PLUGINS, Served};
use locum_benches::wire::{TwoWay, framed};
use locum_benches::{Goal, Report, Row};
use locum_model::limits::{HOLDS_PER_WORKLOAD_MAX, STREAMS_PER_CONNECTION_MAX};

use crate::Size;

pub(crate) async fn show(report: &mut Report, size: Size) {
    // All cores: the memory is what counts here.
    let served = Served::start(Cores::All);
    let each = size.holds.div_ceil(PLUGINS - 1).min(HOLDS_PER_WORKLOAD_MAX);
    let (mut held, mut in_streams) = (Vec::new(), 0);
    for plugin in 0..PLUGINS {
        let wanted = each.min(size.holds - held.len());
        let tasks = served.tasks(plugin, wanted).await;
        let before = served.process.resident();
        let bodies = tasks.iter().map(|task| wire::HoldTaskRequest {
            task_id: task.id.clone(),
            holder_secret: task.secret.clone(),
        });
        let bodies: Vec<_> = bodies.map(|hold| framed(&hold)).collect();
        for some in bodies.chunks(STREAMS_PER_CONNECTION_MAX as usize) {
            let line = served.plugin(plugin).line().await.expect("a connection");
            for body in some {
                held.push(hold(&line, body.clone()).await);
            }
        }
        in_streams += served.process.resident().saturating_sub(before);
        report.progress(format_args!("{} streams held", held.len()));
    }
    report.show(
        Row::new(15, "HoldTask streams held open", held.len() as f64, "")
            .goal(Goal::AtLeast(size.holds as f64)),
    );
    let kib = in_streams as f64 / 1024.0 / held.len() as f64;
    report.show(Row::new(15, "resident memory of each in the server", kib, "KiB").goal(Goal::AtMost(12.0)));
}

/// Opens a stream and hears that the task is active.
async fn hold(line: &locum_benches::wire::Line, body: prost::bytes::Bytes) -> TwoWay {
    let bodies: Arc<[_]> = [body].into();
    let mut stream = line.two_way(HOLD_TASK, bodies, (1, |_| true)).await.expect("a stream");
    let answer = stream.next().await.expect("an answer");
    assert!(answer.starts_with(&[8, wire::TaskState::Active as u8]), "the task is held");
    stream
}
