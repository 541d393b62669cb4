//! The gRPC API `apache.rocketmq.v2`, generated from `protocol/proto` and checked in.
//!
//! The generated files are not edited by hand. After a change in `protocol/proto` refresh them with
//! `REGENERATE=1 cargo test -p stratamq-protocol --test generated`; without the variable that test fails
//! when they are stale. Enum fields are `i32`, so a value from a newer client never fails to decode:
//! `Code::try_from(status.code)` tells. `bytes` fields are [`bytes::Bytes`] and share the buffer they were
//! decoded from. Maps are ordered, so a message encodes to the same bytes every time.

/// Messages, enums, and the clients and servers of `MessagingService` and `Admin`.
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::large_enum_variant,
    reason = "generated: the shapes are the API's, the paths are written so that nothing can shadow them"
)]
pub mod v2 {
    include!("generated/apache.rocketmq.v2.rs");
}

/// The compiled proto files with everything they import, as a serialized
/// `google.protobuf.FileDescriptorSet`: what server reflection serves.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/file_descriptor_set.bin");
