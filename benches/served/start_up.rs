//! Row 14: from nothing to the first answer, and what the binary takes when it does nothing.

use std::fs;

use locum_benches::process::{Cores, built};
use locum_benches::served::{INTROSPECT, Served, installation, question};
use locum_benches::wire::framed;
use locum_benches::{Goal, Report, Row, median, timed_async};

use crate::Size;

const MIB: f64 = 1_048_576.0;

pub(crate) async fn show(report: &mut Report, size: Size) {
    report.progress("starting up");
    let first = Served::start_on(installation(), Cores::All);
    let mut site = Some(end(first).await);
    let (mut starts, mut spent, mut resident) = (Vec::new(), Vec::new(), 0);
    for _ in 0..size.starts {
        let site_now = site.take().expect("it came back");
        let (served, took) = timed_async(async {
            let served = Served::start_on(site_now, Cores::All);
            // A token that is none: the answer says inactive, and the server serves.
            let line = served.backend().line().await.expect("a connection");
            line.unary(INTROSPECT, framed(&question("none"))).await.expect("an answer");
            served
        })
        .await;
        starts.push(took);
        spent.push(served.process.cpu());
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        resident = served.process.resident();
        site = Some(end(served).await);
    }
    let start = median(starts).as_secs_f64() * 1e3;
    report.show(Row::new(14, "cold start to the first answer", start, "ms").goal(Goal::AtMost(50.0)));
    let spent = median(spent).as_secs_f64() * 1e3;
    report.show(Row::new(14, "CPU of the server until then", spent, "ms"));
    let binary = fs::metadata(built("locumd")).expect("it has just run").len() as f64 / 1e6;
    report
        .show(Row::new(14, "binary of locumd, as packages carry it", binary, "MB").goal(Goal::AtMost(25.0)));
    let idle = Row::new(14, "resident memory, idle", resident as f64 / MIB, "MiB");
    report.show(idle.goal(Goal::AtMost(25.0)));
}

async fn end(served: Served) -> locum_tests::Site {
    let Served { process, site, .. } = served;
    process.terminate().await;
    site
}
