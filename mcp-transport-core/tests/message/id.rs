use mcp_transport_core::{Id, Message};
use proptest::prelude::*;
use serde_json::value::RawValue;
use std::cmp::Ordering;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

fn id(json: &str) -> Id {
    Id::from_json(json).unwrap_or_else(|| panic!("{json} is an id"))
}

fn hash(id: &Id) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// A number written out without an exponent: slow, and free of arithmetic on anything but places.
fn written_out(json: &str) -> (bool, String, String) {
    let (negative, rest) = json
        .strip_prefix('-')
        .map_or((false, json), |rest| (true, rest));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let exponent: i32 = exponent.parse().unwrap();
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (mut whole, mut fraction) = (whole.to_owned(), fraction.to_owned());
    for _ in 0..exponent {
        whole.push(if fraction.is_empty() {
            '0'
        } else {
            fraction.remove(0)
        });
    }
    for _ in exponent..0 {
        fraction.insert(0, whole.pop().unwrap_or('0'));
    }
    let whole = whole.trim_start_matches('0').to_owned();
    let fraction = fraction.trim_end_matches('0').to_owned();
    let zero = whole.is_empty() && fraction.is_empty();
    (negative && !zero, whole, fraction)
}

fn number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,2}0{0,22})(\\.0{0,3}[0-9]{1,2}0{0,3})?([eE][+-]?0{0,2}[0-9]{1,2})?"
}

/// Few digits, so that two of them are often equal.
fn small_number() -> impl Strategy<Value = String> {
    "-?[01](\\.[01]0?)?([eE][+-]?[01])?"
}

fn check(left: &str, right: &str) -> Result<(), TestCaseError> {
    let equal = written_out(left) == written_out(right);
    let (left, right) = (id(left), id(right));
    prop_assert_eq!(left == right, equal, "{} and {}", left, right);
    prop_assert_eq!(left.cmp(&right) == Ordering::Equal, equal);
    prop_assert_eq!(left.cmp(&right), right.cmp(&left).reverse());
    prop_assert!(
        !equal || hash(&left) == hash(&right),
        "{left} and {right} differ in hash"
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn numbers_are_equal_exactly_if_they_are_the_same_written_out(left in number(), right in number()) {
        check(&left, &right)?;
        check(&left, &left)?;
    }

    #[test]
    fn small_numbers_are_equal_exactly_if_they_are_the_same_written_out(left in small_number(), right in small_number()) {
        check(&left, &right)?;
    }

    #[test]
    fn moving_the_point_changes_nothing(digits in "[1-9][0-9]{0,40}", exponent in -50..50_i32, by in 0..60_i32) {
        let zeros = "0".repeat(by.unsigned_abs() as usize);
        let one = format!("{digits}e{exponent}");
        let other = format!("{digits}{zeros}e{}", exponent - by);
        let third = format!("0.{zeros}{digits}e{}", exponent + by + i32::try_from(digits.len()).unwrap());
        prop_assert_eq!(written_out(&one), written_out(&third));
        check(&one, &other)?;
        check(&one, &third)?;
    }

    #[test]
    fn text_is_compared_unescaped(text: String) {
        let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let (plain, escaped) = (id(&serde_json::to_string(&text).unwrap()), id(&format!("\"{escaped}\"")));
        prop_assert_eq!(&plain, &escaped);
        prop_assert_eq!(hash(&plain), hash(&escaped));
        prop_assert_eq!(&plain, &Id::from(text.as_str()));
        prop_assert_eq!(plain.as_str(), Some(text.as_str()));
        prop_assert_eq!(id(&plain.to_string()), plain);
    }

    #[test]
    fn a_number_is_written_as_its_peer_wrote_it(json in number()) {
        prop_assert_eq!(id(&json).to_string(), json.as_str());
        let answer = Message::response(&id(&json), ()).unwrap();
        let written = format!("\"id\":{json},");
        prop_assert!(answer.as_str().unwrap().contains(&written));
    }

    #[test]
    fn an_id_is_read_exactly_from_json_text_and_numbers(
        json in prop_oneof!["[-+0-9.eE]{0,8}", "\"[\"\\\\ua0]{0,6}\"?", "\\PC{0,6}"],
    ) {
        let is_json = serde_json::from_str::<&RawValue>(&json).is_ok();
        let expected = match json.trim_ascii().as_bytes().first() {
            Some(b'"') => serde_json::from_str::<String>(&json).is_ok(),
            Some(b'-' | b'0'..=b'9') => is_json,
            _ => false,
        };
        let id = Id::from_json(&json);
        prop_assert_eq!(id.is_some(), expected, "{:?}", json);
        if let Some(id) = id {
            let answer = Message::error(Some(&id), 1, "", None::<()>);
            prop_assert_eq!(answer.id(), Some(&id), "it can be answered");
        }
    }
}

#[test]
fn one_is_one_however_it_is_written() {
    let spellings = ["1", "1.0", "10e-1", "0.1e1", "1E0", "1e+00", "100e-2"];
    for spelling in spellings {
        assert_eq!(id(spelling), Id::from(1), "{spelling}");
        assert_eq!(hash(&id(spelling)), hash(&Id::from(1)));
        assert_eq!(id(spelling).as_i64(), Some(1));
    }
    assert_eq!(id("-0"), Id::from(0));
    assert_eq!(id("-0.0e9"), Id::from(0));
}

#[test]
fn huge_numbers_are_not_rounded() {
    assert_ne!(id("9007199254740993"), id("9007199254740992"));
    assert_ne!(id("18446744073709551616"), id("18446744073709551617"));
    assert_eq!(id("18446744073709551616.0"), id("18446744073709551616"));
    assert_eq!(id("-9223372036854775808.0").as_i64(), Some(i64::MIN));
    assert_eq!(id("9223372036854775808").as_i64(), None);
    assert_ne!(id("1e400"), id("1e401"));
    assert_ne!(id("1e99999999999999999999"), id("2e99999999999999999999"));
    assert_eq!(id("0e99999999999999999999"), Id::from(0));
    let long = "9".repeat(10_000);
    assert_eq!(id(&long).to_string(), long);
}

#[test]
fn a_number_is_never_text() {
    assert_ne!(id("1"), id("\"1\""));
    assert_ne!(id("1e400"), id("\"1e400\""));
}

#[test]
fn what_is_neither_text_nor_a_number_is_no_id() {
    for json in [
        "",
        "null",
        "true",
        "{}",
        "[]",
        "[1]",
        "\"",
        "\"a",
        "\"a\"b\"",
        "\"\\x\"",
        "\"\n\"",
        "\"\\ud800\"",
        "01",
        "1.",
        "1e",
        "-",
        "+1",
        ".5",
        "1abc",
        "1 2",
        "NaN",
        "Infinity",
    ] {
        assert_eq!(Id::from_json(json), None, "{json}");
    }
}
