use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A breaker's name. It derefs to `str`, and cloning it allocates nothing.
///
/// ```
/// let breaker = tripcoil::CircuitBreaker::new("payments");
/// let name = breaker.metrics().name;
/// assert_eq!(name, "payments");
/// assert_eq!(name.len(), 8);
/// ```
#[derive(Clone)]
pub struct Name(NameText);

#[derive(Clone)]
enum NameText {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Name {
    pub(crate) const fn new(name: &'static str) -> Self {
        Name(NameText::Static(name))
    }
}

impl From<Cow<'static, str>> for Name {
    fn from(name: Cow<'static, str>) -> Self {
        match name {
            Cow::Borrowed(name) => Name(NameText::Static(name)),
            Cow::Owned(name) => Name(NameText::Shared(name.into())),
        }
    }
}

impl From<&'static str> for Name {
    fn from(name: &'static str) -> Self {
        Name::new(name)
    }
}

impl From<String> for Name {
    fn from(name: String) -> Self {
        Name(NameText::Shared(name.into()))
    }
}

/// Shares the text.
impl From<Arc<str>> for Name {
    fn from(name: Arc<str>) -> Self {
        Name(NameText::Shared(name))
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            NameText::Static(name) => name,
            NameText::Shared(name) => name,
        }
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Name {}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, other: &String) -> bool {
        **self == **other
    }
}

impl PartialEq<Name> for str {
    fn eq(&self, other: &Name) -> bool {
        *self == **other
    }
}

impl PartialEq<Name> for &str {
    fn eq(&self, other: &Name) -> bool {
        **self == **other
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_compared_and_printed_as_its_text() {
        let fixed = Name::new("db");
        let made = Name::from(Cow::from(String::from("db")));
        assert_eq!(fixed, made);
        assert_eq!(made, "db");
        assert_eq!(format!("{made} {made:?} {made:>4}"), "db \"db\"   db");
    }
}
