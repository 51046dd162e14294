//! What makes no sense is refused at compile time, with a text that says what would.

#[test]
fn each_mistake_has_its_message() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
