//! Golden bytes were made with `rocketmq-remoting` 5.5.0 (`RemotingCommand`, both serializers).

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> BytesMut {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn json_frame(header: &str, body: &str) -> BytesMut {
    let mut bytes = BytesMut::new();
    let length = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
    bytes.extend_from_slice(&length(4 + header.len() + body.len()));
    bytes.extend_from_slice(&length(header.len()));
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

fn one(mut bytes: BytesMut) -> Result<Option<Frame>, FrameError> {
    decode(&mut bytes)
}

const JSON: &str = "00000090000000887b22636f6465223a3130352c226578744669656c6473223a7b22746f706963223a2274227d\
2c22666c6167223a302c226c616e6775616765223a224a415641222c226f7061717565223a372c2272656d61726b223a2272222c227365\
7269616c697a655479706543757272656e74525043223a224a534f4e222c2276657273696f6e223a3531337d626f6479";
const BINARY: &str =
    "0000002a010000220000000201000000070000000100000001720000000c00056d736749640000000178626f6479";
const BINARY_BARE: &str = "00000019010000150136090201ffffffff000000000000000000000000";

#[test]
fn json_frame_has_apache_s_bytes() {
    let frame = Frame {
        remark: Some("r".to_owned()),
        ext: ExtFields::from_iter([("topic", "t")]),
        body: Bytes::from_static(b"body"),
        ..Frame::request(RequestCode::GET_ROUTEINFO_BY_TOPIC, 7)
    };
    assert_eq!(hex(&encode(&frame).unwrap()), JSON);
    assert_eq!(one(unhex(JSON)).unwrap(), Some(frame));
}

#[test]
fn bare_json_header_has_apache_s_text() {
    let header = concat!(
        r#"{"code":105,"flag":2,"language":"JAVA","opaque":7,"#,
        r#""serializeTypeCurrentRPC":"JSON","version":513}"#
    );
    let frame = Frame { flag: Frame::ONEWAY, ..Frame::request(105, 7) };
    assert_eq!(encode(&frame).unwrap(), json_frame(header, ""));
    assert!(frame.is_oneway() && !frame.is_response());
}

#[test]
fn binary_frames_have_apache_s_bytes() {
    let request = Frame { opaque: 7, encoding: Encoding::Binary, ..Frame::default() };
    let reply = Frame {
        remark: Some("r".to_owned()),
        ext: ExtFields::from_iter([("msgId", "x")]),
        body: Bytes::from_static(b"body"),
        ..Frame::reply_to(&request, ResponseCode::SUCCESS)
    };
    assert_eq!(hex(&encode(&reply).unwrap()), BINARY);
    assert_eq!(one(unhex(BINARY)).unwrap(), Some(reply));

    let bare = Frame {
        language: Language::Go,
        encoding: Encoding::Binary,
        ..Frame::request(RequestCode::SEND_MESSAGE_V2, -1)
    };
    assert_eq!(hex(&encode(&bare).unwrap()), BINARY_BARE);
    assert_eq!(one(unhex(BINARY_BARE)).unwrap(), Some(bare));
}

#[test]
fn code_too_large_for_a_binary_header_is_sent_as_json() {
    let pop = Frame { encoding: Encoding::Binary, ..Frame::request(RequestCode::POP_MESSAGE, 1) };
    let read = one(encode(&pop).unwrap().into()).unwrap().unwrap();
    assert_eq!((read.code, read.encoding), (200_050, Encoding::Json));
}

#[test]
fn keys_may_be_missing_null_or_of_another_type() {
    let empty = one(json_frame("{}", "")).unwrap().unwrap();
    assert_eq!(empty, Frame::default());
    let header = r#"{"code":"34","language":"COBOL","version":null,"opaque":1,"flag":"","remark":null,
        "extFields":{"a":null,"b":1,"c":true,"d":"x"},"new":{"of":["today"]}}"#;
    let read = one(json_frame(header, "b")).unwrap().unwrap();
    assert_eq!((read.code, read.opaque, read.language), (34, 1, Language::Other));
    assert_eq!(read.ext, ExtFields::from_iter([("b", "1"), ("c", "true"), ("d", "x")]));
    assert_eq!(read.body, "b");
    let numbered = one(json_frame(r#"{"language":12,"extFields":null}"#, "")).unwrap().unwrap();
    assert_eq!(numbered.language, Language::Rust);
}

#[test]
fn unknown_language_number_is_another_language() {
    let mut bytes = unhex(BINARY_BARE);
    bytes[10] = 200;
    assert_eq!(one(bytes).unwrap().unwrap().language, Language::Other);
}

#[test]
fn frame_is_taken_when_its_last_byte_is_there() {
    let whole = unhex(&format!("{JSON}{BINARY}"));
    let first_bytes = JSON.len() / 2;
    let mut input = BytesMut::new();
    for (index, byte) in whole.iter().enumerate() {
        input.extend_from_slice(&[*byte]);
        let frame = decode(&mut input).unwrap();
        assert_eq!(frame.is_some(), index + 1 == first_bytes || index + 1 == whole.len());
    }
    assert!(input.is_empty());
}

#[test]
fn frame_above_the_limit_is_refused_by_its_length_alone() {
    let limit = u32::try_from(FRAME_BYTES_MAX).unwrap();
    let of_length = |length: u32| BytesMut::from(&length.to_be_bytes()[..]);
    assert!(matches!(one(of_length(limit - 4)), Ok(None)));
    let refused = one(of_length(limit - 3)).unwrap_err();
    assert_eq!(refused.to_string(), "a frame of 16777217 bytes, the limit is 16777216");
    assert!(matches!(one(of_length(u32::MAX)), Err(FrameError::Length(-1))));
    assert!(matches!(one(of_length(3)), Err(FrameError::Length(3))));

    let head = encode(&Frame::default()).unwrap().len();
    let mut frame = Frame { body: vec![0; FRAME_BYTES_MAX - head].into(), ..Frame::default() };
    assert_eq!(one(encode(&frame).unwrap().into()).unwrap().unwrap(), frame);
    frame.body = vec![0; FRAME_BYTES_MAX - head + 1].into();
    assert!(matches!(encode(&frame), Err(FrameError::TooLarge { .. })));
    frame.remark = Some("r".repeat(FRAME_BYTES_MAX));
    assert!(matches!(encode(&frame), Err(FrameError::HeaderLength { .. })));
}

#[test]
fn header_that_does_not_fit_its_frame_is_refused() {
    let mut bytes = unhex(JSON);
    bytes[7] += 10;
    assert!(matches!(one(bytes), Err(FrameError::HeaderLength { header: 146, room: 140 })));
    let mut bytes = unhex(JSON);
    bytes[4] = 2;
    assert!(matches!(one(bytes), Err(FrameError::Encoding(2))));
    assert!(matches!(one(json_frame("", "")), Err(FrameError::Json(_))));
    assert!(matches!(one(json_frame("{\"code\":", "")), Err(FrameError::Json(_))));
}

#[test]
fn every_truncation_of_a_binary_header_is_found() {
    let header = Bytes::from(unhex(BINARY).split_off(8)).slice(..34);
    assert!(binary::decode(header.clone()).is_ok());
    for end in 0..header.len() {
        assert!(binary::decode(header.slice(..end)).is_err(), "cut at {end}");
    }
}

#[test]
fn binary_text_must_be_utf8_and_lengths_positive() {
    let mut bytes = unhex(BINARY);
    let remark_at = bytes.iter().position(|b| *b == b'r').unwrap();
    bytes[remark_at] = 0xff;
    assert!(matches!(one(bytes), Err(FrameError::Text("remark"))));
    let mut bytes = unhex(BINARY);
    bytes[remark_at - 4] = 0xff;
    assert!(matches!(one(bytes), Err(FrameError::Truncated("remark"))));
}

#[test]
fn codes_have_their_numbers_and_names() {
    assert_eq!(RequestCode::POP_MESSAGE, 200_050);
    assert_eq!(RequestCode::name(17), Some("UPDATE_AND_CREATE_TOPIC"));
    assert_eq!(RequestCode::name(-5), None);
    assert_eq!(ResponseCode::name(3), Some("REQUEST_CODE_NOT_SUPPORTED"));
    assert_eq!(ResponseCode::name(17), Some("TOPIC_NOT_EXIST"));
}

#[test]
fn languages_go_by_number_and_by_name() {
    for code in 0..=13 {
        let language = Language::from_code(code);
        assert_eq!(language.code(), code);
        assert_eq!(Language::from_name(&language.to_string()), language);
    }
    assert_eq!(Language::from_code(14), Language::Other);
    assert_eq!(Language::from_name("java"), Language::Other);
}

prop_compose! {
    fn any_frame()(
        code in prop_oneof![any::<i32>(), 0..32_768],
        language in 0_u8..14,
        version in prop_oneof![any::<i32>(), 0..600],
        numbers in any::<(i32, i32)>(),
        remark in prop::option::of(".{1,40}"),
        fields in prop::collection::vec((".{0,10}", ".{0,40}"), 0..8),
        body in prop::collection::vec(any::<u8>(), 0..100),
        binary in any::<bool>(),
    ) -> Frame {
        let small = i16::try_from(code).is_ok() && i16::try_from(version).is_ok();
        Frame {
            code,
            language: Language::from_code(language),
            version,
            opaque: numbers.0,
            flag: numbers.1,
            remark,
            ext: ExtFields::from_iter(fields),
            body: body.into(),
            encoding: if binary && small { Encoding::Binary } else { Encoding::Json },
        }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself(first in any_frame(), second in any_frame()) {
        let mut bytes = BytesMut::from(&encode(&first).unwrap()[..]);
        bytes.extend_from_slice(&encode(&second).unwrap());
        prop_assert_eq!(decode(&mut bytes).unwrap(), Some(first));
        prop_assert_eq!(decode(&mut bytes).unwrap(), Some(second));
        prop_assert!(decode(&mut bytes).unwrap().is_none() && bytes.is_empty());
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), binary in any::<bool>()) {
        let _ = one(BytesMut::from(&bytes[..]));
        let mut framed = BytesMut::new();
        let length = u32::try_from(bytes.len()).unwrap();
        framed.extend_from_slice(&(length + 4).to_be_bytes());
        framed.extend_from_slice(&(length | u32::from(binary) << 24).to_be_bytes());
        framed.extend_from_slice(&bytes);
        let _ = one(framed);
    }

    #[test]
    fn damaged_frames_never_panic(
        frame in any_frame(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = BytesMut::from(&encode(&frame).unwrap()[..]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = one(bytes);
    }
}
