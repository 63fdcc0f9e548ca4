//! ListTokens, and ListTasks and ListLocks by selector: what is listed is what a revocation kills.

use std::collections::BTreeSet;

use locum_api::admin::v1::selector::Target;
use locum_api::admin::v1::{
    ListLocksRequest, ListTasksRequest, ListTokensRequest, LiveToken, LockRequest, PreviewRevokeRequest,
    Selector,
};
use locum_model::Reason;
use locum_tests::refused::{fields, reason};
use locum_tests::work::{Held, begin, grant, issue, revoke, seconds, selector};
use locum_tests::{Daemon, Party, Site};

use crate::LOCUMD;

/// The whole listing, in pages of two.
async fn listed(operator: &Party, target: Option<Target>) -> Vec<LiveToken> {
    let (mut tokens, mut page_token) = (Vec::new(), String::new());
    loop {
        let selector = target.clone().and_then(selector);
        let request = ListTokensRequest { page_size: 2, page_token, selector };
        let page = operator.inspection().list_tokens(request).await.expect("listed").into_inner();
        assert!(page.tokens.len() <= 2 && !page.partial);
        tokens.extend(page.tokens);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return tokens;
        }
    }
}

fn ids(tokens: &[LiveToken]) -> BTreeSet<&str> {
    tokens.iter().map(|token| token.jti.as_str()).collect()
}

async fn busy(daemon: &Daemon, path: &str, tokens: usize) -> (Held, Vec<String>) {
    let party = daemon.at(path);
    let task = begin(daemon, &party, vec![grant("orders:read", &[])]).await.expect("allowed");
    let mut ids = Vec::new();
    for _ in 0..tokens {
        let issued = issue(daemon, &party, task.ask("orders:read", &["order/1"])).await.expect("issued");
        ids.push(issued.jti);
    }
    (task, ids)
}

#[tokio::test]
async fn a_listing_is_what_a_revocation_of_the_same_selector_kills() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let operator = daemon.operator("operator");
    let (task, refunders) = busy(&daemon, "agents/refunder", 3).await;
    let (_, readers) = busy(&daemon, "agents/reader", 2).await;
    let all = listed(&operator, None).await;
    assert_eq!(
        all.iter().map(|token| &token.jti).collect::<Vec<_>>(),
        [refunders.clone(), readers].concat().iter().collect::<Vec<_>>()
    );
    let first = &all[0];
    assert_eq!(
        (first.workload.as_str(), first.connector.as_str(), first.tenant.as_str()),
        ("refunder", "orders", "acme")
    );
    assert_eq!((first.task_id.as_str(), first.purpose.as_str()), (task.task_id.as_str(), "refund-order"));
    let seconds = |time: Option<prost_types::Timestamp>| time.map(|time| time.seconds);
    assert!(!first.use_limited && seconds(first.issue_time) < seconds(first.expire_time));
    for (target, count) in [
        (Target::Token(refunders[1].clone()), 1),
        (Target::Task(task.task_id.clone()), 3),
        (Target::Workload("refunder".to_owned()), 3),
        (Target::Workload("spiffe://acme.test/agents/*".to_owned()), 5),
        (Target::Connector("orders".to_owned()), 5),
        (Target::Connector("mail".to_owned()), 0),
        (Target::Model("support-llm".to_owned()), 3),
        (Target::PolicyRevision(1), 5),
    ] {
        let request = PreviewRevokeRequest { selector: selector(target.clone()), issued_before: None };
        let preview = operator.revocation().preview_revoke(request).await.expect("shown").into_inner();
        let tokens = listed(&operator, Some(target.clone())).await;
        assert_eq!((tokens.len(), preview.tokens), (count, count as u64), "{target:?}");
        assert!(ids(&tokens).is_subset(&ids(&all)), "{target:?}");
    }
    operator.revocation().revoke(revoke(Target::Workload("refunder".to_owned()))).await.expect("revoked");
    assert_eq!(listed(&operator, None).await.len(), 2);
    assert_eq!(listed(&daemon.operator("globex-operator"), None).await, []);
}

#[tokio::test]
async fn tasks_are_listed_by_the_same_selectors() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let operator = daemon.operator("operator");
    let (task, tokens) = busy(&daemon, "agents/refunder", 1).await;
    busy(&daemon, "agents/reader", 0).await;
    for (target, count) in [
        (None, 2),
        (Some(Target::Token(tokens[0].clone())), 1),
        (Some(Target::Task(task.task_id)), 1),
        (Some(Target::Workload("refunder".to_owned())), 1),
        (Some(Target::Workload("spiffe://acme.test/agents/*".to_owned())), 2),
        (Some(Target::Model("support-llm".to_owned())), 1),
        (Some(Target::Owner("research".to_owned())), 1),
        (Some(Target::Connector("orders".to_owned())), 2),
        (Some(Target::Connector("wiki".to_owned())), 0),
        (Some(Target::PolicyRevision(1)), 2),
    ] {
        let request =
            ListTasksRequest { selector: target.clone().and_then(selector), ..ListTasksRequest::default() };
        let tasks = operator.inspection().list_tasks(request).await.expect("listed").into_inner().tasks;
        assert_eq!(tasks.len(), count, "{target:?}");
    }
    let by_key = Target::SigningKey("0".repeat(64));
    let request = ListTasksRequest { selector: selector(by_key), ..ListTasksRequest::default() };
    assert_eq!(reason(operator.inspection().list_tasks(request).await), Reason::RequestMalformed);
}

#[tokio::test]
async fn locks_are_found_by_what_they_refuse_and_say_what_they_came_to() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let operator = daemon.operator("operator");
    let agents = Target::Workload("spiffe://acme.test/agents/*".to_owned());
    let request = LockRequest { selector: selector(agents), reason: "a drill".to_owned(), ttl: seconds(60) };
    let made = operator.revocation().lock(request).await.expect("locked").into_inner().lock.expect("a lock");
    let names: BTreeSet<_> =
        made.matches.iter().map(|one| (one.name.as_str(), one.tenant.as_str())).collect();
    assert_eq!(names, BTreeSet::from([("reader", "acme"), ("refunder", "acme")]));
    for (target, count) in [
        (Target::Workload("refunder".to_owned()), 1),
        (Target::Workload("spiffe://acme.test/agents/reader".to_owned()), 1),
        (Target::Workload("orders-api".to_owned()), 0),
        (Target::Tenant("acme".to_owned()), 0),
    ] {
        let request = ListLocksRequest { selector: selector(target.clone()), ..ListLocksRequest::default() };
        let locks = operator.revocation().list_locks(request).await.expect("listed").into_inner().locks;
        assert_eq!(locks.len(), count, "{target:?}");
    }
}

#[tokio::test]
async fn a_listing_refuses_what_is_no_question() {
    let daemon = Daemon::shared(LOCUMD);
    let operator = daemon.operator("acme-operator");
    let ask = |request| async { operator.inspection().list_tokens(request).await };
    for (request, field) in [
        (ListTokensRequest { page_size: -1, ..Default::default() }, "page_size"),
        (ListTokensRequest { page_size: 1001, ..Default::default() }, "page_size"),
        (ListTokensRequest { page_token: "1".to_owned(), ..Default::default() }, "page_token"),
        (ListTokensRequest { page_token: "1.\u{202e}".to_owned(), ..Default::default() }, "page_token"),
        (ListTokensRequest { selector: Some(Selector { target: None }), ..Default::default() }, "selector"),
    ] {
        assert_eq!(fields(ask(request).await), [field]);
    }
    for (target, expected) in [
        (Target::Workload("bot".to_owned()), Reason::SelectorUnknown),
        (Target::Tenant("globex".to_owned()), Reason::SelectorUnknown),
        (Target::PolicyRevision(1), Reason::SelectorForbidden),
    ] {
        let request = ListTokensRequest { selector: selector(target.clone()), ..Default::default() };
        assert_eq!(reason(ask(request).await), expected, "{target:?}");
    }
}
