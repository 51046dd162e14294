//! Bytes as a fleet hears them from its store: they are refused, or they say the same once they are written again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tripcoil_fleet::protocol::{Message, Reply};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::decode(bytes) {
        assert_eq!(Message::decode(message.encode().as_bytes()), Ok(message));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.split('\u{1}');
    if let Ok(reply) = Reply::decode(parts.next().unwrap_or_default(), parts) {
        let texts = reply.encode();
        assert_eq!(Reply::decode(&texts[0], texts[1..].iter().map(String::as_str)), Ok(reply));
    }
});
