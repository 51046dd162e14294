//! What the command says of its options, as a user meets it.

use std::process::{Command, Output};

fn outage(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_outage")).args(args).output().expect("the command starts")
}

#[test]
fn nonsense_is_refused_with_exit_code_2_and_a_message() {
    for (args, message) in [
        (&["--seconds", "0"][..], "outage: --seconds `0`: not a whole number from 5 to 60\n"),
        (&["--seconds", "-3"], "outage: --seconds `-3`: not a whole number from 5 to 60\n"),
        (&["--seconds=1e9"], "outage: --seconds `1e9`: not a whole number from 5 to 60\n"),
        (&["--seed", "x"], "outage: --seed `x`: not a whole number from 0 to 18446744073709551615\n"),
        (&["--svg="], "outage: --svg ``: not the path of a file\n"),
        (&["--fast"], "outage: invalid option '--fast'\n"),
    ] {
        let output = outage(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr.starts_with(message), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn help_goes_to_the_standard_output() {
    let output = outage(&["--help"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("--seconds N"));
}

#[test]
fn a_picture_that_cannot_be_written_is_found_before_the_run() {
    for path in [env!("CARGO_MANIFEST_DIR"), concat!(env!("CARGO_MANIFEST_DIR"), "/no/such/folder/timeline.svg")] {
        let output = outage(&["--svg", path]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with(&format!("outage: --svg `{path}` cannot be written: ")), "{stderr}");
        assert!(output.stdout.is_empty(), "the run had begun");
    }
}
