//! `docs/reference/api.md`: the served contract as a page, made from its descriptors.
//!
//! What always holds: the page has every method, message and enum that is served, in the words of
//! `proto/`, and each method's roles from the table in `roles.rs`; a test compares it with what is
//! written. To write it again: `cargo test -p locum-api -- --ignored write_the_contract_page`.

use std::fmt::Write as _;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    MethodDescriptorProto, ServiceDescriptorProto,
};

use crate::{FILE_DESCRIPTOR_SET, roles};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/api.md");
const AGAIN: &str = "run `cargo test -p locum-api -- --ignored write_the_contract_page`";

const INTRODUCTION: &str = "\
# The API: every method

Made from the comments in `proto/` and from the table that says who may call what. The contract is
gRPC over TLS 1.3; whoever calls proves an identity by a client certificate, an assertion
(`authorization: Bearer …`), or both. Server reflection has all of this too, for `grpcurl` and `buf curl`.

What a reason means, its code and whether to try again: [errors](errors.md).
";

// Field numbers of `google/protobuf/descriptor.proto`, of which paths to comments are made.
const PACKAGE: i32 = 2;
const MESSAGES: i32 = 4;
const ENUMS: i32 = 5;
const SERVICES: i32 = 6;
/// Of methods in a service, fields in a message, values in an enum.
const PARTS: i32 = 2;
const ONEOFS: i32 = 8;

/// The contract's own files, in the order of the table of roles; those of imports left out.
fn files() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("the build wrote it");
    let mut files: Vec<_> =
        set.file.into_iter().filter(|file| file.package().starts_with("locum.")).collect();
    let row = |file: &FileDescriptorProto| {
        let service = format!("/{}.{}/", file.package(), file.service.first()?.name());
        roles::METHODS.iter().position(|(path, _)| path.starts_with(&service))
    };
    // Files without a service hold what the others speak of.
    files.sort_by_key(|file| row(file).unwrap_or(usize::MAX));
    files
}

fn page() -> String {
    let files = files();
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n| service | for | methods |\n|---|---|---|\n");
    for file in &files {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            let link = name.replace('.', "").to_lowercase();
            let methods: Vec<_> = service.method.iter().map(|m| format!("`{}`", m.name())).collect();
            line(
                &mut page,
                &[&format!("[`{name}`](#{link})"), &comment(file, &[PACKAGE]), &methods.join(", ")],
            );
        }
    }
    for package in ["locum.broker.v1", "locum.admin.v1"] {
        let own: Vec<_> = files.iter().filter(|file| file.package() == package).collect();
        for file in &own {
            for (at, service) in file.service.iter().enumerate() {
                self::service(&mut page, file, service, number(at));
            }
        }
        shared(&mut page, package, &own);
    }
    page
}

fn service(page: &mut String, file: &FileDescriptorProto, service: &ServiceDescriptorProto, at: i32) {
    let name = format!("{}.{}", file.package(), service.name());
    paragraphs(page, &format!("## {name}"), &comment(file, &[SERVICES, at]));
    for (of, method) in service.method.iter().enumerate() {
        let said = comment(file, &[SERVICES, at, PARTS, number(of)]);
        paragraphs(page, &format!("### {}", method.name()), &said);
        let path = format!("/{name}/{}", method.name());
        let roles = roles::may(&path).unwrap_or_default();
        let roles: Vec<_> = roles.iter().map(|role| format!("`{}`", role.as_str())).collect();
        put(page, &format!("\nFor: {}. {}\n", roles.join(", "), takes_and_gives(method)));
        for own in own_messages(method) {
            if let Some((at, message)) = find(file, own) {
                self::message(page, file, message, at);
            }
        }
    }
}

/// `Takes a stream of A, answers B.`
fn takes_and_gives(method: &MethodDescriptorProto) -> String {
    let shown = |name: &str, streaming: bool| {
        let stream = if streaming { "a stream of " } else { "" };
        format!("{stream}`{}`", short(name))
    };
    let takes = shown(method.input_type(), method.client_streaming());
    let gives = shown(method.output_type(), method.server_streaming());
    format!("Takes {takes}, answers {gives}.")
}

fn own_messages(method: &MethodDescriptorProto) -> [&str; 2] {
    [short(method.input_type()), short(method.output_type())]
}

/// What more than one method speaks of.
fn shared(page: &mut String, package: &str, files: &[&FileDescriptorProto]) {
    put(page, &format!("\n## Messages of {package}\n"));
    for file in files {
        let methods = || file.service.iter().flat_map(|service| &service.method);
        for (at, message) in file.message_type.iter().enumerate() {
            if !methods().any(|method| own_messages(method).contains(&message.name())) {
                self::message(page, file, message, number(at));
            }
        }
        for (at, kind) in file.enum_type.iter().enumerate() {
            enumeration(page, file, kind, number(at));
        }
    }
}

fn message(page: &mut String, file: &FileDescriptorProto, message: &DescriptorProto, at: i32) {
    paragraphs(page, &format!("**`{}`**", message.name()), &comment(file, &[MESSAGES, at]));
    if message.field.is_empty() {
        return;
    }
    page.push_str("\n| field | type | meaning |\n|---|---|---|\n");
    let mut told = None;
    for (of, field) in message.field.iter().enumerate() {
        if field.oneof_index.is_some() && field.oneof_index != told {
            told = field.oneof_index;
            let oneof = field.oneof_index();
            let name = message.oneof_decl[usize::try_from(oneof).expect("an index")].name();
            line(page, &[&format!("*{name}*"), "one of", &comment(file, &[MESSAGES, at, ONEOFS, oneof])]);
        }
        let said = comment(file, &[MESSAGES, at, PARTS, number(of)]);
        line(page, &[&format!("`{}`", field.name()), &kind(message, field), &said]);
    }
}

fn enumeration(page: &mut String, file: &FileDescriptorProto, kind: &EnumDescriptorProto, at: i32) {
    paragraphs(page, &format!("**`{}`**", kind.name()), &comment(file, &[ENUMS, at]));
    page.push_str("\n| value | meaning |\n|---|---|\n");
    for (of, value) in kind.value.iter().enumerate() {
        let said = comment(file, &[ENUMS, at, PARTS, number(of)]);
        line(page, &[&format!("`{}`", value.name()), &said]);
    }
}

/// `string`, `Grant, repeated`, `map<string, string>`.
fn kind(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let entry = |entry: &&DescriptorProto| {
        entry.options.as_ref().is_some_and(|o| o.map_entry()) && entry.name() == short(field.type_name())
    };
    if let Some(entry) = message.nested_type.iter().find(entry) {
        return format!("map<{}, {}>", base(&entry.field[0]), base(&entry.field[1]));
    }
    let many = if field.label() == Label::Repeated { ", repeated" } else { "" };
    format!("{}{many}", base(field))
}

fn base(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message | Type::Enum => format!("`{}`", short(field.type_name())),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    }
}

/// `Grant` of `.locum.broker.v1.Grant`.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn find<'a>(file: &'a FileDescriptorProto, name: &str) -> Option<(i32, &'a DescriptorProto)> {
    let found = file.message_type.iter().enumerate().find(|(_, message)| message.name() == name);
    found.map(|(at, message)| (number(at), message))
}

fn declares_enum(file: &FileDescriptorProto, name: &str) -> bool {
    file.enum_type.iter().any(|kind| kind.name() == name)
}

/// The comment above what stands at `path`, its lines joined within paragraphs.
fn comment(file: &FileDescriptorProto, path: &[i32]) -> String {
    let info = file.source_code_info.as_ref().expect("the build keeps comments");
    let place = info.location.iter().find(|place| place.path == path);
    let said = place.map(|place| place.leading_comments()).unwrap_or_default();
    let paragraphs: Vec<String> = said
        .split("\n\n")
        .map(|one| one.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned())
        .collect();
    paragraphs.join("\n\n").trim().to_owned()
}

fn paragraphs(page: &mut String, heading: &str, said: &str) {
    put(page, &format!("\n{heading}\n"));
    if !said.is_empty() {
        put(page, &format!("\n{said}\n"));
    }
}

fn line(page: &mut String, cells: &[&str]) {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|").replace("\n\n", "<br>")).collect();
    put(page, &format!("| {} |\n", cells.join(" | ")));
}

fn put(page: &mut String, text: &str) {
    page.write_str(text).expect("a string takes any text");
}

fn number(at: usize) -> i32 {
    i32::try_from(at).expect("a file has few things")
}

// === what has to hold ===

#[test]
fn the_page_says_what_the_contract_says() {
    let written = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(written == page(), "docs/reference/api.md is out of date: {AGAIN}");
}

#[test]
#[ignore = "rewrites docs/reference/api.md"]
fn write_the_contract_page() {
    std::fs::write(PATH, page()).expect("docs/reference can be written");
}

#[test]
fn everything_that_is_served_is_on_the_page_and_says_something() {
    let (page, files) = (page(), files());
    for file in &files {
        let names = file.message_type.iter().map(DescriptorProto::name);
        for name in names.chain(file.enum_type.iter().map(EnumDescriptorProto::name)) {
            let declare =
                |file: &&FileDescriptorProto| find(file, name).is_some() || declares_enum(file, name);
            let declared = files.iter().filter(declare).count();
            assert_eq!(page.matches(&format!("**`{name}`**\n\n")).count(), declared, "{name}");
        }
        for (at, message) in file.message_type.iter().enumerate() {
            assert!(!comment(file, &[MESSAGES, number(at)]).is_empty(), "{}", message.name());
            for (of, field) in message.field.iter().enumerate() {
                let said = comment(file, &[MESSAGES, number(at), PARTS, number(of)]);
                assert!(!said.is_empty(), "{}.{}", message.name(), field.name());
            }
        }
        for (at, service) in file.service.iter().enumerate() {
            assert!(!comment(file, &[SERVICES, number(at)]).is_empty(), "{}", service.name());
            for (of, method) in service.method.iter().enumerate() {
                let said = comment(file, &[SERVICES, number(at), PARTS, number(of)]);
                assert!(!said.is_empty(), "{}", method.name());
                assert!(page.contains(&format!("### {}\n", method.name())), "{}", method.name());
            }
        }
    }
}

/// A reason that was renamed must not live on in a comment.
#[test]
fn every_reason_that_a_comment_names_is_one() {
    let mut seen = 0;
    for file in files() {
        for (at, service) in file.service.iter().enumerate() {
            let of_methods =
                (0..service.method.len()).map(|of| vec![SERVICES, number(at), PARTS, number(of)]);
            for path in of_methods.chain([vec![SERVICES, number(at)]]) {
                let said = comment(&file, &path);
                let Some((_, listed)) = said.split_once("Reasons:") else { continue };
                let capitals = |c: char| !(c.is_ascii_uppercase() || c == '_');
                for word in listed.split(capitals).filter(|word| word.contains('_') && word.len() > 3) {
                    assert!(word.parse::<locum_model::Reason>().is_ok(), "{}: `{word}`", service.name());
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 100, "{seen} reasons in comments");
}
