//! The operators' calls: what is sent, and what becomes of hostile or broken answers.

use locum_api::admin::v1::revocation_service_server::{RevocationService, RevocationServiceServer};
use locum_api::admin::v1::*;
use locum_model::Selector;
use locum_sdk::{Client, Error};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Request, Response, Status};

use crate::fake::{at, connect};

/// Answers what it is told and notes what it is asked.
#[derive(Clone, Default)]
struct Revocations {
    revoked: Arc<Mutex<Vec<RevokeRequest>>>,
    lock: Option<ActiveLock>,
    missing: Vec<Verifier>,
}

#[tonic::async_trait]
impl RevocationService for Revocations {
    async fn preview_revoke(
        &self,
        _: Request<PreviewRevokeRequest>,
    ) -> Result<Response<PreviewRevokeResponse>, Status> {
        Ok(Response::new(PreviewRevokeResponse {
            matches: vec![],
            tokens: 12,
            tasks: 3,
            by_workload: vec![NamedCount { name: "evil\u{1b}[2J\u{202e}".into(), count: 12 }],
            by_connector: vec![],
            oldest_issue_time: at(1),
            newest_issue_time: None,
            partial: true,
        }))
    }

    async fn revoke(&self, request: Request<RevokeRequest>) -> Result<Response<RevokeResponse>, Status> {
        self.revoked.lock().push(request.into_inner());
        Ok(Response::new(RevokeResponse {
            matches: vec![],
            position: "1.1.7".into(),
            residual_until: at(60),
            everywhere: false,
            missing: self.missing.clone(),
        }))
    }

    async fn lock(&self, _: Request<LockRequest>) -> Result<Response<LockResponse>, Status> {
        Ok(Response::new(LockResponse { lock: self.lock.clone() }))
    }

    async fn unlock(&self, _: Request<UnlockRequest>) -> Result<Response<UnlockResponse>, Status> {
        Ok(Response::new(UnlockResponse { locks: self.lock.clone().into_iter().collect() }))
    }

    async fn list_locks(
        &self,
        request: Request<ListLocksRequest>,
    ) -> Result<Response<ListLocksResponse>, Status> {
        let first = request.into_inner().page_token.is_empty();
        let next_page_token = if first { "next" } else { "" }.to_owned();
        Ok(Response::new(ListLocksResponse {
            locks: self.lock.clone().into_iter().collect(),
            next_page_token,
        }))
    }
}

fn start(lock: Option<ActiveLock>) -> (Revocations, Client) {
    let fake = Revocations { lock, ..Revocations::default() };
    let service = RevocationServiceServer::new(fake.clone());
    (fake, connect(tonic::transport::Server::builder().add_service(service)))
}

fn tenant() -> Selector {
    Selector::Tenant("acme".parse().expect("a name"))
}

#[tokio::test]
async fn a_preview_is_counts_and_harmless_names() {
    let (fake, client) = start(None);
    let preview = client.admin().preview_revoke(&tenant(), None).await.expect("shown");
    assert_eq!((preview.tokens, preview.tasks, preview.partial), (12, 3, true));
    assert_eq!(preview.by_workload[0].name, "evil\\u{1b}[2J\\u{202e}");
    assert!(preview.oldest.is_some() && preview.newest.is_none());
    assert!(fake.revoked.lock().is_empty());
}

#[tokio::test]
async fn a_revocation_names_its_selector_and_reason() {
    let (fake, client) = start(None);
    let done = client.admin().revoke(&tenant(), "stolen laptop", None).await.expect("revoked");
    assert_eq!(done.position, "1.1.7");
    assert!(done.residual_until.is_some());
    let asked = fake.revoked.lock()[0].clone();
    assert_eq!(asked.reason, "stolen laptop");
    assert_eq!(asked.selector.expect("named").target, Some(selector::Target::Tenant("acme".into())));
}

#[tokio::test]
async fn a_revocation_that_waited_names_who_is_missing() {
    let whole = Verifier {
        workload: "mail-api".into(),
        instance: "ab".repeat(16),
        version: "evil\u{1b}[2J".into(),
        behind: 3,
        connect_time: at(1),
        behind_for: Some(prost_types::Duration { seconds: 2, nanos: 0 }),
        lease_left: Some(prost_types::Duration { seconds: 0, nanos: 1_000_000 }),
        ..Verifier::default()
    };
    let start = |missing| {
        let fake = Revocations { missing, ..Revocations::default() };
        let service = RevocationServiceServer::new(fake.clone());
        (fake, connect(tonic::transport::Server::builder().add_service(service)))
    };
    let (fake, client) = start(vec![whole.clone()]);
    let wait = Duration::from_secs(5);
    let done = client.admin().revoke_everywhere(&tenant(), "a drill", None, wait).await.expect("revoked");
    assert_eq!(fake.revoked.lock()[0].wait, Some(prost_types::Duration { seconds: 5, nanos: 0 }));
    let [missing] = done.missing.as_slice() else { unreachable!("one is missing") };
    assert!(!done.everywhere && missing.version == "evil\\u{1b}[2J" && missing.behind == 3);
    assert_eq!((missing.behind_for, missing.lease_left), (Duration::from_secs(2), Duration::from_millis(1)));
    let lost = Verifier { connect_time: None, ..whole.clone() };
    let odd = Verifier { lease_left: Some(prost_types::Duration { seconds: -1, nanos: 0 }), ..whole };
    for broken in [lost, odd] {
        let (_fake, client) = start(vec![broken]);
        let answer = client.admin().revoke(&tenant(), "a drill", None).await;
        assert!(matches!(answer, Err(Error::Unexpected(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_lock_is_read_whole_or_not_at_all() {
    let whole = ActiveLock {
        lock_id: 7,
        selector: Some(locum_api::convert::selector::to_wire(&tenant())),
        matches: vec![],
        reason: "under review".into(),
        locked_by: "ops".into(),
        lock_time: at(1),
        end_time: at(3_600),
    };
    let ttl = Duration::from_secs(3_600);
    let (_fake, client) = start(Some(whole.clone()));
    let lock = client.admin().lock(&tenant(), "under review", ttl).await.expect("locked");
    assert_eq!((lock.number, &lock.selector), (7, &tenant()));
    let lifted = client.admin().unlock(&tenant(), "done").await.expect("lifted");
    assert_eq!(lifted, std::slice::from_ref(&lock));
    let page = client.admin().list_locks(None, 1, "").await.expect("a page");
    assert_eq!((page.items, page.next.as_str()), (vec![lock], "next"));

    let endless = ActiveLock { end_time: None, ..whole.clone() };
    let nameless = ActiveLock { selector: None, ..whole };
    for broken in [None, Some(endless), Some(nameless)] {
        let (_fake, client) = start(broken);
        let answer = client.admin().lock(&tenant(), "under review", ttl).await;
        assert!(matches!(answer, Err(Error::Unexpected(_))), "{answer:?}");
    }
}
