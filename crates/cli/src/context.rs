//! `locum context list|use|add|remove|show`.

use std::path::PathBuf;

use locum_model::Name;
use serde_json::{Map, Value, json};

use crate::args::{ContextAddArgs, ContextCommand, Global};
use crate::context_file::{Contexts, Place};
use crate::document;
use crate::failure::Failure;
use crate::output::{Output, Sheet, facts, long, plain, wide};
use crate::session::{Session, contexts_path};

/// Runs one of the verbs. None of them asks a broker.
pub(crate) fn run(command: ContextCommand, session: &Session, output: &Output) -> Result<(), Failure> {
    let file = contexts_path().ok_or_else(|| {
        Failure::Usage(
            "neither `XDG_CONFIG_HOME` nor `HOME` is set: there is no place for contexts".to_owned(),
        )
    })?;
    let mut contexts = Contexts::read(&file)?;
    match command {
        ContextCommand::List => list(&contexts, output),
        ContextCommand::Show(args) => show(args.name.as_deref(), &contexts, output),
        ContextCommand::Use(args) => {
            let name = known(&args.name, &contexts)?;
            contexts.current = Some(name.clone());
            contexts.write(&file)?;
            told(&name, &contexts.places[&name], &contexts, "now in use", output)
        }
        ContextCommand::Add(args) => {
            let name = add(&args, session.global(), &mut contexts, output)?;
            contexts.write(&file)?;
            let did = if args.keep_current { "added" } else { "added and now in use" };
            told(&name, &contexts.places[&name], &contexts, did, output)
        }
        ContextCommand::Remove(args) => {
            let name = known(&args.name, &contexts)?;
            let place = contexts.places.remove(&name);
            contexts.current = contexts.current.take().filter(|current| *current != name);
            contexts.write(&file)?;
            told(&name, &place.unwrap_or_default(), &contexts, "removed", output)
        }
    }
}

/// What was done with a context, once it is written.
fn told(name: &Name, place: &Place, contexts: &Contexts, did: &str, output: &Output) -> Result<(), Failure> {
    output.data(document::of("context", value(name, place, contexts)), || format!("{did}: {name}"))
}

fn add(
    args: &ContextAddArgs,
    global: &Global,
    contexts: &mut Contexts,
    output: &Output,
) -> Result<Name, Failure> {
    let name = name_of(&args.name)?;
    if contexts.places.contains_key(&name) && !args.replace {
        return Err(Failure::Usage(format!("`{name}` is there already: say `--replace`")));
    }
    let whole = |path: &Option<PathBuf>| path.as_ref().map(std::path::absolute).transpose();
    let place = Place {
        addr: global.addr.clone(),
        ca_file: whole(&global.ca_file)?,
        cert_file: whole(&global.cert_file)?,
        key_file: whole(&global.key_file)?,
        assertion_file: whole(&global.assertion_file)?,
    };
    let addr = place.addr.as_deref().unwrap_or_default();
    if !addr.starts_with("https://") || place.ca_file.is_none() {
        return Err(Failure::Usage(
            "a context needs `--addr https://HOST:PORT` and `--ca-file FILE`".to_owned(),
        ));
    }
    if place.cert_file.is_some() != place.key_file.is_some() {
        return Err(Failure::Usage("`--cert-file` and `--key-file` belong together".to_owned()));
    }
    for file in
        [&place.ca_file, &place.cert_file, &place.key_file, &place.assertion_file].into_iter().flatten()
    {
        if !file.exists() {
            output.warn(&format!("`{}` is not there yet", file.to_string_lossy()));
        }
    }
    contexts.places.insert(name.clone(), place);
    if !args.keep_current {
        contexts.current = Some(name.clone());
    }
    Ok(name)
}

fn list(contexts: &Contexts, output: &Output) -> Result<(), Failure> {
    let values = contexts.places.iter().map(|(name, place)| value(name, place, contexts)).collect();
    output.data(document::of("contexts", Value::Array(values)), || {
        let columns = [
            plain("CURRENT"),
            plain("NAME"),
            long("ADDR"),
            wide("CA FILE"),
            wide("CERT FILE"),
            wide("ASSERTION FILE"),
        ];
        let path = |path: &Option<PathBuf>| {
            path.as_ref().map_or_else(String::new, |path| path.to_string_lossy().into())
        };
        let row = |(name, place): (&Name, &Place)| {
            let mark = if contexts.current.as_ref() == Some(name) { "*" } else { "" };
            vec![
                mark.to_owned(),
                name.to_string(),
                place.addr.clone().unwrap_or_default(),
                path(&place.ca_file),
                path(&place.cert_file),
                path(&place.assertion_file),
            ]
        };
        output.sheet(&Sheet::new(&columns, contexts.places.iter().map(row)))
    })
}

fn show(name: Option<&str>, contexts: &Contexts, output: &Output) -> Result<(), Failure> {
    let name = match (name, &contexts.current) {
        (Some(name), _) => known(name, contexts)?,
        (None, Some(current)) => known(current.as_str(), contexts)?,
        (None, None) => {
            return Err(Failure::Usage("no context is in use: `locum context use NAME`".to_owned()));
        }
    };
    let place = &contexts.places[&name];
    output.data(document::of("context", value(&name, place, contexts)), || {
        let members = place.members().into_iter().filter_map(|(key, value)| Some((key, value?)));
        facts([("context", name.to_string())].into_iter().chain(members))
    })
}

fn value(name: &Name, place: &Place, contexts: &Contexts) -> Value {
    let members = place.members().into_iter().map(|(key, value)| (key.to_owned(), json!(value)));
    let mut value: Map<String, Value> = members.collect();
    value.insert("context".to_owned(), json!(name.to_string()));
    value.insert("current".to_owned(), json!(contexts.current.as_ref() == Some(name)));
    Value::Object(value)
}

fn name_of(text: &str) -> Result<Name, Failure> {
    let shown = crate::output::escaped(text);
    text.parse().map_err(|why| Failure::Usage(format!("`{shown}` is no name of a context: {why}")))
}

/// A name that is in the file.
fn known(text: &str, contexts: &Contexts) -> Result<Name, Failure> {
    let name = name_of(text)?;
    if contexts.places.contains_key(&name) {
        return Ok(name);
    }
    let there: Vec<&str> = contexts.places.keys().map(Name::as_str).collect();
    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    Err(Failure::Usage(format!("there is no context `{name}`; there is: {there}")))
}
