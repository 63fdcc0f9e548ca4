//! Compiles the served contract into Rust: messages, clients, servers and the descriptor set.
//!
//! `protox` is the compiler, so that no system `protoc` is needed. The stored format of the journal
//! is not the served contract and is not compiled here.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const PROTO_ROOT: &str = "../../proto";
const PACKAGES: [&str; 2] = ["locum/broker/v1", "locum/admin/v1"];

/// Messages that carry a secret or personal words: `src/redact.rs` writes their `Debug` by hand.
const REDACTED: [&str; 10] = [
    ".locum.broker.v1.StartTaskRequest",
    ".locum.broker.v1.HoldTaskRequest",
    ".locum.broker.v1.RenewTaskRequest",
    ".locum.broker.v1.EndTaskRequest",
    ".locum.broker.v1.IssueTokenRequest",
    ".locum.broker.v1.IssueTokenResponse",
    ".locum.broker.v1.RevokeTokenRequest",
    ".locum.broker.v1.IntrospectTokenRequest",
    ".locum.broker.v1.AuthorizeRequest",
    ".locum.broker.v1.PresentedProof",
];

/// A message that is sent to many: its bytes are counted references, so that a copy costs nothing.
const SHARED: &str = ".locum.broker.v1.WatchRevocationsResponse";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let root = Path::new(PROTO_ROOT);
    let mut files = Vec::new();
    for package in PACKAGES {
        let folder = root.join(package);
        println!("cargo::rerun-if-changed={}", folder.display());
        files.extend(protos_in(&folder)?);
    }
    let descriptors = protox::compile(&files, [root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), protox::prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure()
        .btree_map(".")
        .skip_debug(REDACTED)
        .bytes(SHARED)
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}

/// The `.proto` files of one folder, ordered by name so that the same sources give the same bytes.
fn protos_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    files.sort();
    Ok(files)
}
