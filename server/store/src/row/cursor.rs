//! The pieces that keys are made of, written and taken apart.
//!
//! Numbers are big-endian, so that they sort as numbers. A text that is followed by something is either prefixed with
//! its length, where only equality and grouping count, or ended by a zero byte, where order counts too: no id holds a
//! control character, and zero sorts before whatever a longer id goes on with. A text that is last stands as it is.

use crate::kv::Key;
use crate::row::DecodeError;

/// What ends a text whose order counts.
const END_OF_TEXT: u8 = 0;

pub(crate) fn put_u64(key: &mut Key, number: u64) {
    key.extend_from_slice(&number.to_be_bytes());
}

pub(crate) fn put_prefixed(key: &mut Key, text: &str) {
    let bytes = u16::try_from(text.len()).expect("an id is at most ID_BYTES_MAX bytes long");
    key.extend_from_slice(&bytes.to_be_bytes());
    key.extend_from_slice(text.as_bytes());
}

pub(crate) fn put_ended(key: &mut Key, text: &str) {
    key.extend_from_slice(text.as_bytes());
    key.push(END_OF_TEXT);
}

/// A key of one number.
pub(crate) fn one(number: u64) -> Key {
    Key::from_slice(&number.to_be_bytes())
}

/// A key of two numbers.
pub(crate) fn two(first: u64, second: u64) -> Key {
    let mut key = one(first);
    put_u64(&mut key, second);
    key
}

/// What is left of a key that is being taken apart.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(key: &'a [u8]) -> Self {
        Self { rest: key }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        let ([byte], rest) = self.split()?;
        self.rest = rest;
        Ok(*byte)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        let (bytes, rest) = self.split()?;
        self.rest = rest;
        Ok(u64::from_be_bytes(*bytes))
    }

    /// A fixed number of bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (bytes, rest) = self.split()?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// A text behind its length.
    pub(crate) fn prefixed(&mut self) -> Result<String, DecodeError> {
        let (length, rest) = self.split()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (bytes, rest) = rest.split_at_checked(length).ok_or(TOO_SHORT)?;
        self.rest = rest;
        utf8(bytes)
    }

    /// A text and the byte that ends it.
    pub(crate) fn ended(&mut self) -> Result<String, DecodeError> {
        let mut halves = self.rest.splitn(2, |byte| *byte == END_OF_TEXT);
        let (Some(bytes), Some(rest)) = (halves.next(), halves.next()) else {
            return Err(TOO_SHORT);
        };
        self.rest = rest;
        utf8(bytes)
    }

    /// Everything that is left, as a text.
    pub(crate) fn text(self) -> Result<String, DecodeError> {
        utf8(self.rest)
    }

    /// Makes sure that nothing is left.
    pub(crate) fn end(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Key("is too long"))
        }
    }

    fn split<const N: usize>(&self) -> Result<(&'a [u8; N], &'a [u8]), DecodeError> {
        self.rest.split_first_chunk().ok_or(TOO_SHORT)
    }
}

const TOO_SHORT: DecodeError = DecodeError::Key("is too short");

fn utf8(bytes: &[u8]) -> Result<String, DecodeError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(DecodeError::Key("is not UTF-8 where it should be")),
    }
}
