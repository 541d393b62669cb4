//! The checked-in gRPC code is what the proto files say. Set `REGENERATE=1` to refresh it.
#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;

const PROTOS: [&str; 3] = [
    "apache/rocketmq/v2/definition.proto",
    "apache/rocketmq/v2/service.proto",
    "apache/rocketmq/v2/admin.proto",
];

fn crate_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn generate(into: &Path) {
    let mut compiler = protox::Compiler::new([crate_dir().join("proto")]).unwrap();
    compiler.include_source_info(true).include_imports(true).open_files(PROTOS).unwrap();
    let mut files = compiler.file_descriptor_set();
    tonic_prost_build::configure()
        .out_dir(into)
        .bytes(".")
        .btree_map(".")
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .compile_fds(files.clone())
        .unwrap();
    // Comments are for readers of the code, not for reflection.
    for file in &mut files.file {
        file.source_code_info = None;
    }
    fs::write(into.join("file_descriptor_set.bin"), files.encode_to_vec()).unwrap();
}

#[test]
fn generated_code_matches_the_proto_files() {
    let fresh = tempfile::tempdir().unwrap();
    generate(fresh.path());
    let kept = crate_dir().join("src/grpc/generated");
    for name in ["apache.rocketmq.v2.rs", "file_descriptor_set.bin"] {
        let made = fs::read(fresh.path().join(name)).unwrap();
        if std::env::var_os("REGENERATE").is_some() {
            fs::write(kept.join(name), &made).unwrap();
        }
        let same = fs::read(kept.join(name)).is_ok_and(|old| old == made);
        assert!(same, "{name} is stale: run this test with REGENERATE=1");
    }
}
