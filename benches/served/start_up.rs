//! Row 14: from nothing to the first answer, and what the binary takes when it does nothing.

use locum_benches::process::{Cores, built};
use locum_benches::served::{INTROSPECT, Served, installation, question};
use locum_benches::wire::framed;
use locum_benches::{Goal, Report, Row, median, timed_async};

const TIMES: usize = 9;
const MIB: f64 = 1_048_576.0;

pub(crate) async fn show(report: &mut Report) {
    report.progress("starting up");
    let first = Served::start_on(installation(), Cores::All);
    let mut site = Some(end(first));
    let (mut starts, mut resident) = (Vec::new(), 0);
    for _ in 0..TIMES {
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
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        resident = served.process.resident();
        site = Some(end(served));
    }
    let start = median(starts).as_secs_f64() * 1e3;
    report.show(Row::new(14, "cold start to the first answer", start, "ms").goal(Goal::AtMost(50.0)));
    let binary = std::fs::metadata(built("locumd")).expect("a binary").len() as f64 / MIB;
    report.show(Row::new(14, "binary of locumd", binary, "MiB").goal(Goal::AtMost(25.0)));
    let idle = Row::new(14, "resident memory, idle", resident as f64 / MIB, "MiB");
    report.show(idle.goal(Goal::AtMost(25.0)));
}

fn end(served: Served) -> locum_tests::Site {
    let Served { process, site, .. } = served;
    process.terminate();
    site
}
