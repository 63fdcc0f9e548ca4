//! `locum token list`: live tokens, as they are known; never a token itself.

use locum_sdk::admin::{LiveToken, TokenQuery};

use crate::args::TokenListArgs;
use crate::clock::{now, relative};
use crate::document;
use crate::failure::Failure;
use crate::output::{Output, Sheet, long, plain, wide};
use crate::session::Session;

const PAGE_SIZE: u32 = 500;

/// Runs it.
pub(crate) async fn run(args: TokenListArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let admin = session.client()?.admin();
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut query = TokenQuery { selector: args.selector.optional()?, ..TokenQuery::default() };
    let (mut tokens, mut partial) = (Vec::new(), false);
    while tokens.len() < limit {
        query.size = PAGE_SIZE.min(u32::try_from(limit - tokens.len()).unwrap_or(PAGE_SIZE));
        let listed = admin.list_tokens(&query).await?;
        partial |= listed.partial;
        tokens.extend(listed.page.items);
        query.page = listed.page.next;
        if query.page.is_empty() {
            break;
        }
        output.progress(&format!("{} tokens", tokens.len()));
    }
    output.progressed();
    let more = !query.page.is_empty();
    let values = tokens.iter().map(document::live_token).collect();
    output.data(document::listing("tokens", values, more), || rows(&tokens, output))?;
    if more {
        output.note(&format!("there are more than {limit}: raise `--limit`"));
    }
    match partial {
        false => Ok(()),
        true => {
            Err(Failure::Partly("the broker has more than it looks at: name a narrower selector".to_owned()))
        }
    }
}

fn rows(tokens: &[LiveToken], output: &Output) -> String {
    let now = now();
    let columns = [
        plain("JTI"),
        plain("TASK"),
        long("WORKLOAD"),
        long("CONNECTOR"),
        plain("EXPIRES"),
        wide("ISSUED"),
        wide("USES LEFT"),
        wide("PURPOSE"),
        wide("SUBJECT"),
        wide("TENANT"),
    ];
    let row = |token: &LiveToken| {
        vec![
            token.jti.clone(),
            token.task.clone(),
            token.workload.clone(),
            token.connector.clone(),
            relative(token.expire_time, now),
            relative(token.issue_time, now),
            token.uses_left.map_or_else(|| "unlimited".to_owned(), |left| left.to_string()),
            token.purpose.clone(),
            token.subject.clone(),
            token.tenant.clone(),
        ]
    };
    output.sheet(&Sheet::new(&columns, tokens.iter().map(row)))
}
