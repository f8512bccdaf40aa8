//! How a model is read, and what is said of one that cannot be.

use mock_agent::{Options, OptionsError};

#[test]
fn behaviours_are_read_from_the_model() {
    for model in [
        "echo",
        "echo?",
        "acme/echo-1.5:free?unhealthy",
        "echo?start-after-ms=500&healthy-after-ms=1000&unhealthy&crash-after-ms=2000&flood=100&flood-bytes-per-s=10\
         &ignore-term&stop-after-ms=10&delay-ms=20",
    ] {
        assert!(Options::parse("token", model).is_ok(), "{model}");
    }
}

#[test]
fn an_error_says_which_flag_it_is() {
    let error = |model| Options::parse("token", model).unwrap_err().to_string();
    for (model, message) in [
        ("", "the model \"\" has no name before its flags, or one with control characters"),
        (
            "?unhealthy",
            "the model \"?unhealthy\" has no name before its flags, or one with control characters",
        ),
        ("a\nb", "the model \"a\\nb\" has no name before its flags, or one with control characters"),
        ("echo?delay-ms=1s", "the model's flag delay-ms takes a whole number up to 4294967295, not \"1s\""),
        ("echo?flood", "the model's flag flood takes a whole number up to 4294967295, not \"\""),
        ("echo?unhealthy=no", "the model's flag unhealthy takes no value; leave out \"=no\""),
        (
            "echo?flood=1&&unhealthy",
            "the model's flag \"\" is not known; there are start-after-ms, healthy-after-ms, unhealthy, crash-after-ms, \
             flood, flood-bytes-per-s, ignore-term, stop-after-ms and delay-ms",
        ),
    ] {
        assert_eq!(error(model), message);
    }
    assert_eq!(
        Options::parse("token", "echo?sleep=1").unwrap_err(),
        OptionsError::UnknownFlag { flag: "sleep".to_owned() }
    );
    assert_eq!(Options::parse("", "echo").unwrap_err(), OptionsError::NoToken);
}
