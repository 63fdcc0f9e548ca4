//! [`Answering`]: a process that checks offline, over and over, and whose every answer is kept.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use locum_model::KeyId;
use locum_sdk::VerifierOptions;
use rustix::process::Pid;

use crate::history::{Answer, TokenNo, Verdict};
use crate::stopped::{go_on, stop};

/// A verifier in a process of its own.
pub struct Answering {
    child: Child,
    tokens: Option<ChildStdin>,
    answers: Arc<Mutex<Vec<Answer>>>,
    reader: Option<JoinHandle<()>>,
}

impl Answering {
    /// Starts it as the `verifier` of this number, pinned to and following what `options` say.
    ///
    /// # Panics
    ///
    /// When it cannot be started, or the options are not such that an environment can say.
    pub fn start(binary: &str, verifier: usize, options: &VerifierOptions) -> Self {
        let mut command = Command::new(binary);
        command.args([&options.connector, &options.audience]).env_clear().envs(environment(options));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let answers = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&answers);
        let reader = std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let answer = read(verifier, &line).expect("a whole line of what it says");
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
            }
        });
        Self { tokens: child.stdin.take(), child, answers, reader: Some(reader) }
    }

    /// Tells it to ask about one more token from now on.
    ///
    /// # Panics
    ///
    /// When it is gone.
    pub fn ask_about(&mut self, number: TokenNo, token: &str) {
        let tokens = self.tokens.as_mut().expect("it runs");
        writeln!(tokens, "{number} {token}").expect("it reads");
    }

    /// What it said last about a token, of what was asked for after `asked_after`.
    pub fn last(&self, token: TokenNo, asked_after: Duration) -> Option<Verdict> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = answers.iter().rev().take_while(|answer| answer.asked_at > asked_after);
        newest.into_iter().find(|answer| answer.token == token).map(|answer| answer.verdict)
    }

    /// Stops the process where it stands, and returns once it does.
    pub fn freeze(&self) {
        stop(Pid::from_child(&self.child));
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) {
        go_on(Pid::from_child(&self.child));
    }

    /// Ends it; every answer that it gave.
    ///
    /// # Panics
    ///
    /// When it did not end well.
    pub fn finish(mut self) -> Vec<Answer> {
        drop(self.tokens.take());
        let status = self.child.wait().expect("a child");
        self.reader.take().expect("it runs").join().expect("all lines were read");
        assert!(status.success(), "a verifier ended badly: {status}");
        std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if self.reader.is_some() {
            let _gone_already = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}

fn environment(options: &VerifierOptions) -> Vec<(&'static str, String)> {
    let [first, ..] = options.brokers.as_slice() else { unreachable!("a verifier follows somebody") };
    let certificate = first.certificate.as_ref().expect("whoever follows has a certificate");
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let addrs: Vec<&str> = options.brokers.iter().map(|broker| broker.addr.as_str()).collect();
    let KeyId(root) = options.root;
    vec![
        ("LOCUM_FEED_ADDRS", addrs.join(",")),
        ("LOCUM_CA_FILE", path(&first.ca_file)),
        ("LOCUM_CERT_FILE", path(&certificate.cert_file)),
        ("LOCUM_KEY_FILE", path(&certificate.key_file)),
        ("LOCUM_ISSUER", options.issuer.clone()),
        ("LOCUM_FEED_ROOT", locum_jose::base64url::encode(root)),
    ]
}

fn read(verifier: usize, line: &str) -> Option<Answer> {
    let mut words = line.split(' ');
    let mut number = || words.next()?.parse::<u64>().ok();
    let (asked_at, answered_at) = (Duration::from_nanos(number()?), Duration::from_nanos(number()?));
    let token = u32::try_from(number()?).ok()?;
    let verdict = match words.next()? {
        "active" => Verdict::Active,
        "inactive" => Verdict::Inactive,
        "unknown" => Verdict::Unknown,
        _ => return None,
    };
    Some(Answer { verifier, token, asked_at, answered_at, verdict })
}
