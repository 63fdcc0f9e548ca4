//! The story told once, in this process.

use super::*;

/// The steps that every reader of the story may rely on, in this order.
const PROMISED: [&str; 7] = [
    "start_task",
    "issue_token",
    "call_accepted",
    "end_task",
    "call_refused",
    "revoke",
    "revoked_call_refused",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_comes_out_as_promised_and_leaves_nothing() {
    let stage = Stage::open(&WallClock).await.expect("opened");
    let dir = stage.dir().to_owned();
    let mut heard = 0;
    let steps = tell(&stage, &WallClock, &mut |_| heard += 1).await;
    for step in &steps {
        assert!(step.outcome.is_ok(), "{}: {:?}", step.name, step.outcome);
    }
    assert_eq!(heard, steps.len(), "each step is told once");
    let promised: Vec<_> = steps.iter().map(|s| s.name).filter(|name| PROMISED.contains(name)).collect();
    assert_eq!(promised, PROMISED);
    stage.close(async {}).await.expect("closed in order");
    assert!(!dir.exists(), "the directory is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_trust_every_step_fails_and_is_told() {
    let stage = Stage::open(&WallClock).await.expect("opened");
    // The CA file decides whom clients trust: without it nobody connects.
    std::fs::remove_file(stage.options(Character::Operator).ca_file).expect("removed");
    let steps = tell(&stage, &WallClock, &mut |_| {}).await;
    assert!(steps.iter().all(|step| step.outcome.is_err()), "{steps:?}");
    let promised: Vec<_> = steps.iter().map(|s| s.name).filter(|name| PROMISED.contains(name)).collect();
    assert_eq!(promised, PROMISED, "all are told all the same");
    stage.close(async {}).await.expect("closed in order");
}

/// The folder stands for any; what is shown has to fit beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_to_try_next_fits_a_terminal_and_its_files_are_read_by_a_shell() {
    let stage = Stage::open(&WallClock).await.expect("opened");
    let told = telling::next_steps(&stage);
    let dir = stage.dir().to_string_lossy().into_owned();
    let wide: Vec<_> = told
        .lines()
        .filter(|line| line.replace(&dir, "/run/locum-demo-123456").chars().count() > 80)
        .collect();
    assert!(wide.is_empty(), "{wide:#?}");
    assert!(!told.contains("Bearer $"), "no token among a program's arguments: {told}");
    for character in [Character::Operator, Character::Refunder] {
        let options = stage.options(character);
        let files = options.certificate.expect("a certificate");
        let script = format!(
            ". ./{}.env; printf '%s\n' \"$LOCUM_ADDR\" \"$LOCUM_CA_FILE\" \"$LOCUM_CERT_FILE\" \"$LOCUM_KEY_FILE\"",
            character.file_stem()
        );
        let mut shell = std::process::Command::new("sh");
        let output = shell.current_dir(stage.dir()).args(["-euc", &script]).output().expect("a shell");
        let said = String::from_utf8(output.stdout).expect("text");
        let shown =
            [&options.ca_file, &files.cert_file, &files.key_file].map(|file| file.display().to_string());
        assert_eq!(said.lines().collect::<Vec<_>>(), [&[options.addr], &shown[..]].concat(), "{said}");
        assert!(told.contains(&format!(". ./{}.env", character.file_stem())), "{told}");
    }
    stage.close(async {}).await.expect("closed in order");
}
