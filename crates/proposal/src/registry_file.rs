//! Registry files: what an operator proposes, from TOML to [`Proposal`].
//!
//! Names, patterns and words are read strictly and every problem is told with file, line and key.
//! An entry without an owner is refused: somebody has to answer for everything. Whether the
//! entries fit together (references, repeated names, overlapping identities) is judged where a
//! proposal is committed, not here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};

use locum_model::limits::{
    ACTIONS_PER_CONNECTOR_MAX, AUDIENCE_BYTES_MAX, REGISTRY_BYTES_MAX, REGISTRY_ENTRIES_MAX, TOKEN_TTL_MAX,
    TOKEN_TTL_MIN,
};
use locum_model::limits::{STALENESS_BOUND_DEFAULT, STALENESS_BOUND_MAX, STALENESS_BOUND_MIN};
use locum_model::registry::{
    Action, Algorithm, Check, Effect, Proposal, ProposedConnector, ProposedModel, ProposedWorkload, Tier,
    WorkloadKind,
};
use locum_model::{Name, ResourcePattern};
use serde::Deserialize;
use toml::Spanned;

use crate::bounded_file::{files_of, read_bounded};
use crate::duration::parse_duration;
use crate::problem::{Problem, Problems, line_of, shown};

type Text = Option<Spanned<String>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    tenant: Vec<Spanned<TenantRow>>,
    #[serde(default)]
    model: Vec<Spanned<ModelRow>>,
    #[serde(default)]
    workload: Vec<Spanned<WorkloadRow>>,
    #[serde(default)]
    connector: Vec<Spanned<ConnectorRow>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantRow {
    name: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelRow {
    tenant: Text,
    name: Text,
    owner: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkloadRow {
    tenant: Text,
    name: Text,
    identity: Text,
    kind: Text,
    owner: Text,
    model: Text,
    #[serde(default)]
    serves: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectorRow {
    tenant: Text,
    name: Text,
    audience: Text,
    owner: Text,
    tier: Text,
    check: Text,
    algorithm: Text,
    ttl_max: Text,
    staleness_bound: Text,
    #[serde(default)]
    actions: BTreeMap<Spanned<String>, ActionRow>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionRow {
    effect: Text,
    #[serde(default)]
    resources: Vec<Spanned<String>>,
}

/// Reads one file, or all `*.toml` of a directory in order of name. Cases that policies have to pass
/// (`*.test.toml`) are no registry.
///
/// # Errors
///
/// [`Problems`]: all of them, each with file, line and key.
pub fn read(path: &Path) -> Result<Proposal, Problems> {
    let refused = |path: &Path, message: String| Problems::from(Problem::in_file(path, None, "", message));
    let files = if path.is_dir() {
        files_of(path, ".toml", REGISTRY_ENTRIES_MAX).map_err(|e| refused(path, e.to_string()))?
    } else {
        vec![path.to_owned()]
    };
    let is_registry = |file: &PathBuf| !file.to_string_lossy().ends_with(".test.toml");
    let files: Vec<_> = files.into_iter().filter(is_registry).collect();
    if files.is_empty() {
        return Err(refused(path, "no `*.toml` file is here".to_owned()));
    }
    let (mut found, mut proposals, mut left) = (Problems::default(), Vec::new(), REGISTRY_BYTES_MAX);
    for file in files {
        let text = read_bounded(&file, left).map_err(|error| refused(&file, error.to_string()));
        let text = text.and_then(|bytes| String::from_utf8(bytes).map_err(|e| refused(&file, e.to_string())));
        left -= text.as_ref().map_or(0, String::len);
        match text.and_then(|text| parse(&file, &text)) {
            Ok(proposal) => proposals.push(proposal),
            Err(problems) => found = found.and(problems),
        }
    }
    if found.is_empty() { Ok(join(proposals)) } else { Err(found) }
}

/// Reads one file's text; `path` is only for telling where problems are.
///
/// # Errors
///
/// [`Problems`]: all of them.
pub fn parse(path: &Path, text: &str) -> Result<Proposal, Problems> {
    let document: Document = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| line_of(text, span.start));
        Problems::from(Problem::in_file(path, line, "", error.message()))
    })?;
    let mut reader = Reader { path, text, problems: Vec::new() };
    let proposal = proposal(&mut reader, document);
    let problems = Problems::of(reader.problems);
    proposal.filter(|_| problems.is_empty()).ok_or(problems)
}

/// Joins the proposals of several files into one.
pub fn join(files: impl IntoIterator<Item = Proposal>) -> Proposal {
    files.into_iter().fold(Proposal::default(), |mut all, file| {
        all.tenants.extend(file.tenants);
        all.models.extend(file.models);
        all.workloads.extend(file.workloads);
        all.connectors.extend(file.connectors);
        all
    })
}

// === rows to entries ===

/// Every row is read before any is given up, so that all problems are found.
fn proposal(r: &mut Reader<'_>, document: Document) -> Option<Proposal> {
    let Document { tenant, model, workload, connector } = document;
    let tenants = rows(r, "tenant", tenant, |r, at, row| r.parsed(at, "name", &row.name, str::parse::<Name>));
    let models = rows(r, "model", model, read_model);
    let workloads = rows(r, "workload", workload, read_workload);
    let connectors = rows(r, "connector", connector, read_connector);
    Some(Proposal { tenants: tenants?, models: models?, workloads: workloads?, connectors: connectors? })
}

fn rows<Row, Entry>(
    r: &mut Reader<'_>,
    table: &str,
    rows: Vec<Spanned<Row>>,
    read: impl Fn(&mut Reader<'_>, &At, Row) -> Option<Entry>,
) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        let at = At { prefix: format!("{table}[{index}]"), offset: row.span().start };
        entries.push(read(r, &at, row.into_inner()));
    }
    entries.into_iter().collect()
}

fn read_model(r: &mut Reader<'_>, at: &At, row: ModelRow) -> Option<ProposedModel> {
    let tenant = r.parsed(at, "tenant", &row.tenant, str::parse);
    let name = r.parsed(at, "name", &row.name, str::parse);
    let owner = r.parsed(at, "owner", &row.owner, str::parse);
    Some(ProposedModel { tenant: tenant?, name: name?, owner: owner? })
}

fn read_workload(r: &mut Reader<'_>, at: &At, row: WorkloadRow) -> Option<ProposedWorkload> {
    let kinds = [
        ("plugin", WorkloadKind::Plugin),
        ("agent", WorkloadKind::Agent),
        ("service", WorkloadKind::Service),
        ("gateway", WorkloadKind::Gateway),
    ];
    let tenant = r.parsed(at, "tenant", &row.tenant, str::parse);
    let name = r.parsed(at, "name", &row.name, str::parse);
    let identity = r.parsed(at, "identity", &row.identity, str::parse);
    let kind = r.word(at, "kind", &row.kind, &kinds);
    let owner = r.parsed(at, "owner", &row.owner, str::parse);
    let model = r.optional(at, "model", &row.model);
    let serves: Vec<_> = row.serves.iter().map(|text| r.entry(at, "serves", text)).collect();
    Some(ProposedWorkload {
        tenant: tenant?,
        name: name?,
        identity: identity?,
        kind: kind?,
        owner: owner?,
        model: model?,
        serves: serves.into_iter().collect::<Option<_>>()?,
    })
}

fn read_connector(r: &mut Reader<'_>, at: &At, row: ConnectorRow) -> Option<ProposedConnector> {
    let tiers = [("low", Tier::Low), ("medium", Tier::Medium), ("high", Tier::High)];
    let checks = [("online", Check::Online), ("feed", Check::Feed), ("jwks", Check::Jwks)];
    let algorithms = [("ES256", Algorithm::Es256), ("EdDSA", Algorithm::Ed25519)];
    let tenant = r.parsed(at, "tenant", &row.tenant, str::parse);
    let name = r.parsed(at, "name", &row.name, str::parse);
    let audience = r.parsed(at, "audience", &row.audience, audience);
    let owner = r.parsed(at, "owner", &row.owner, str::parse);
    let tier = r.word(at, "tier", &row.tier, &tiers);
    let check = r.word(at, "check", &row.check, &checks);
    let algorithm = match &row.algorithm {
        None => Some(Algorithm::default()),
        some => r.word(at, "algorithm", some, &algorithms),
    };
    let ttl_max = r.parsed(at, "ttl_max", &row.ttl_max, ttl);
    let staleness_bound = match &row.staleness_bound {
        None => Some(STALENESS_BOUND_DEFAULT),
        some => r.parsed(at, "staleness_bound", some, staleness_bound),
    };
    let actions = read_actions(r, at, row.actions);
    Some(ProposedConnector {
        tenant: tenant?,
        name: name?,
        audience: audience?,
        owner: owner?,
        tier: tier?,
        check: check?,
        algorithm: algorithm?,
        ttl_max: ttl_max?,
        staleness_bound: staleness_bound?,
        actions: actions?,
    })
}

fn audience(text: &str) -> Result<String, String> {
    let fits = (1..=AUDIENCE_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    let refused = || format!("must be 1 to {AUDIENCE_BYTES_MAX} visible ASCII characters");
    if fits { Ok(text.to_owned()) } else { Err(refused()) }
}

fn ttl(text: &str) -> Result<std::time::Duration, String> {
    let span = parse_duration(text).map_err(|error| error.to_string())?;
    if (TOKEN_TTL_MIN..=TOKEN_TTL_MAX).contains(&span) {
        return Ok(span);
    }
    Err(format!("must be between {} s and {} s", TOKEN_TTL_MIN.as_secs(), TOKEN_TTL_MAX.as_secs()))
}

fn staleness_bound(text: &str) -> Result<std::time::Duration, String> {
    let span = parse_duration(text).map_err(|error| error.to_string())?;
    let (least, most) = (STALENESS_BOUND_MIN.as_millis(), STALENESS_BOUND_MAX.as_secs());
    let fits = (STALENESS_BOUND_MIN..=STALENESS_BOUND_MAX).contains(&span);
    if fits { Ok(span) } else { Err(format!("must be between {least} ms and {most} s")) }
}

fn read_actions(
    r: &mut Reader<'_>,
    at: &At,
    rows: BTreeMap<Spanned<String>, ActionRow>,
) -> Option<BTreeMap<Name, Action>> {
    if rows.is_empty() || rows.len() > ACTIONS_PER_CONNECTOR_MAX {
        let message = format!("1 to {ACTIONS_PER_CONNECTOR_MAX} actions are needed");
        return r.refuse(at, "actions", at.offset, message);
    }
    let mut actions = Vec::new();
    for (name, row) in rows {
        let prefix = format!("{}.actions.{}", at.prefix, name.get_ref());
        let inner = At { prefix, offset: name.span().start };
        let name: Option<Name> = r.entry(at, "actions", &name);
        actions.push(name.zip(read_action(r, &inner, &row)));
    }
    actions.into_iter().collect()
}

fn read_action(r: &mut Reader<'_>, at: &At, row: &ActionRow) -> Option<Action> {
    let effects =
        [("read", Effect::Read), ("write", Effect::Write), ("send", Effect::Send), ("admin", Effect::Admin)];
    let effect = r.word(at, "effect", &row.effect, &effects);
    let resources: Vec<Option<ResourcePattern>> =
        row.resources.iter().map(|text| r.entry(at, "resources", text)).collect();
    Some(Action { effect: effect?, resources: resources.into_iter().collect::<Option<BTreeSet<_>>>()? })
}

// === reading with a memory for problems ===

/// Where a row stands.
struct At {
    prefix: String,
    offset: usize,
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn refuse<T>(&mut self, at: &At, key: &str, offset: usize, message: impl Display) -> Option<T> {
        let line = line_of(self.text, offset);
        let key = format!("{}.{key}", at.prefix);
        self.problems.push(Problem::in_file(self.path, Some(line), &key, message.to_string()));
        None
    }

    fn parsed<T, E: Display>(
        &mut self,
        at: &At,
        key: &str,
        text: &Text,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let Some(text) = text else { return self.refuse(at, key, at.offset, "is missing") };
        parse(text.get_ref()).map_or_else(|error| self.refuse(at, key, text.span().start, error), Some)
    }

    fn optional(&mut self, at: &At, key: &str, text: &Text) -> Option<Option<Name>> {
        if text.is_none() { Some(None) } else { self.parsed(at, key, text, str::parse).map(Some) }
    }

    fn entry<T: std::str::FromStr<Err: Display>>(
        &mut self,
        at: &At,
        key: &str,
        text: &Spanned<String>,
    ) -> Option<T> {
        text.get_ref().parse().map_or_else(|error| self.refuse(at, key, text.span().start, error), Some)
    }

    fn word<T: Copy>(&mut self, at: &At, key: &str, text: &Text, words: &[(&str, T)]) -> Option<T> {
        self.parsed(at, key, text, |text| {
            let found = words.iter().find(|(word, _)| *word == text);
            found.map(|(_, meaning)| *meaning).ok_or_else(|| {
                let known: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
                format!("`{}` is none of {}", shown(text), known.join(", "))
            })
        })
    }
}

#[cfg(test)]
mod page;
#[cfg(test)]
mod tests;
