#!/usr/bin/env python3
"""Tests of how a mutant finds what it replaces."""

import unittest

from mutant import Change, Misfit

SOURCE = '''
//! fn add() { not code }
/* nor /* this */ fn add() { */
impl<T: Fn() -> u8> Drop for Cell<T> where T: Sized {
    fn add(&self, by: [u8; 2]) -> u8 {
        let brace = ('}', "}", r#"}"#, b'{', "\\"}"); // }
        self.word.add(
            by, /* one */
            Ordering::Release,
        )
    }
}
impl Other { fn add(&self) { self.a(); if b { self.a(); } c(1); } fn get<'a>(x: &'a u8) -> &'a u8 { x } }
mod tests { fn get() { 1 } }
'''


def changed(function, find, put, **more):
    sources = {"machine/cell.rs": SOURCE}
    Change({"in": function, "find": find, "put": put, **more}).apply(sources)
    return sources["machine/cell.rs"]


class Tests(unittest.TestCase):
    def test_spaces_comments_and_trailing_commas_do_not_matter(self):
        text = changed("Cell::add", "$x.add($..first, Ordering::Release)", "$x.sub($..first)")
        self.assertIn("self.word.sub(by)\n    }", text)

    def test_a_function_is_found_by_the_end_of_its_path(self):
        for path in ("Other::get", "cell::Other::get", "machine::cell::Other::get"):
            self.assertIn("{ y }", changed(path, "{ $x }", "{ y }"))
        self.assertIn("{ 2 }", changed("tests::get", "1", "2"))

    def test_a_word_is_the_same_wherever_its_name_comes_again(self):
        with self.assertRaisesRegex(Misfit, "matches 0 times"):
            changed("Other::add", "if $x { self.$x(); }", "")
        self.assertIn("if b {  }", changed("Other::add", "if $x { self.$y(); }", "if $x { }").replace("{ }", "{  }"))

    def test_any_tokens_end_with_their_statement(self):
        with self.assertRaisesRegex(Misfit, "matches 0 times"):
            changed("Other::add", "self.a() $..all c(1)", "")
        self.assertIn("self.a(); c(1);", changed("Other::add", "if $..all c(1)", "c(1)"))

    def test_a_pattern_that_does_not_match_exactly_once_is_refused(self):
        with self.assertRaisesRegex(Misfit, "Other::add: matches 2 times instead of 1"):
            changed("Other::add", "self.a()", "")
        self.assertNotIn("self.a()", changed("Other::add", "self.a();", "", times=2))

    def test_a_function_that_is_not_there_is_refused(self):
        with self.assertRaisesRegex(Misfit, "Nobody::add: is not there"):
            changed("Nobody::add", "self", "")

    def test_a_replacement_uses_names_of_its_pattern_only(self):
        with self.assertRaisesRegex(Misfit, r"\$y is not in the pattern"):
            changed("Other::get", "{ $x }", "{ $y }")


unittest.main()
