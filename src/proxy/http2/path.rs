//! Finds the requests of an HTTP/2 connection with a `#` in their `:path`.
//!
//! TRAP: the parser of `http` cuts a fragment off (http 1.5.0, src/uri/path.rs), and h2 keeps only its result. So the header blocks
//! are decoded here, from the bytes that h2 reads (RFC 9113, 6.2 and 6.10; RFC 7541). Of the dynamic table only the lengths are
//! kept, and whether a value is a `:path` with a `#`. After a block that can't be decoded, no request of the connection is served;
//! h2 reports the error.

use std::collections::VecDeque;

use crate::proxy::connection_state::ConnectionState;

/// The frames and the dynamic table of one connection.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Paths {
    /// Number of bytes of the preface so far.
    preface: usize,
    head: [u8; HEAD],
    head_length: usize,
    /// Number of bytes of this frame's payload that are still to come.
    left: usize,
    /// The payload of a frame of a header block, as far as it has come.
    payload: Vec<u8>,
    /// The frames of the current header block so far.
    block: Vec<u8>,
    /// The stream of the current header block.
    open: Option<u32>,
    table: Table,
}

/// A block that can't be decoded.
#[derive(Debug, PartialEq, Eq)]
struct Lost;

impl Paths {
    /// Reads bytes, and notes the streams with a `#` in `connection`.
    pub(in crate::proxy) fn follow(&mut self, bytes: &[u8], connection: &ConnectionState) {
        if !connection.has_lost_paths() && self.read(bytes, &mut |stream| connection.note_fragment(stream)).is_err() {
            connection.lose_paths();
        }
    }

    /// Reads bytes. Calls `found` with each stream that begins with a `#` in its `:path`.
    ///
    /// # Errors
    /// [`Lost`] if the dynamic table is not known any more. No more bytes may be read then.
    fn read(&mut self, mut bytes: &[u8], found: &mut impl FnMut(u32)) -> Result<(), Lost> {
        let skipped = bytes.len().min(PREFACE - self.preface);
        self.preface += skipped;
        bytes = &bytes[skipped..];
        while !bytes.is_empty() {
            if self.head_length < HEAD {
                let count = bytes.len().min(HEAD - self.head_length);
                self.head[self.head_length..][..count].copy_from_slice(&bytes[..count]);
                self.head_length += count;
                bytes = &bytes[count..];
                if self.head_length < HEAD {
                    return Ok(());
                }
                let [a, b, c, ..] = self.head;
                self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.begin_frame()?;
            }
            let (here, rest) = bytes.split_at(bytes.len().min(self.left));
            self.left -= here.len();
            bytes = rest;
            if matches!(self.head[3], HEADERS | CONTINUATION) {
                if self.left > 0 {
                    self.payload.extend_from_slice(here);
                } else if self.payload.is_empty() {
                    self.end_frame(here, found)?;
                } else {
                    let mut payload = std::mem::take(&mut self.payload);
                    payload.extend_from_slice(here);
                    self.end_frame(&payload, found)?;
                }
            }
            if self.left == 0 {
                self.head_length = 0;
            }
        }
        Ok(())
    }

    fn begin_frame(&self) -> Result<(), Lost> {
        let is_expected = match self.head[3] {
            HEADERS => self.open.is_none() && self.stream() != 0,
            CONTINUATION => self.open == Some(self.stream()),
            // Clients never send one (RFC 9113, 8.4).
            PUSH_PROMISE => false,
            _ => self.open.is_none(),
        };
        let is_block = matches!(self.head[3], HEADERS | CONTINUATION);
        let is_small = !is_block || self.block.len() + self.left <= MOST_OF_A_BLOCK;
        if is_expected && is_small { Ok(()) } else { Err(Lost) }
    }

    /// Reads the payload of a frame of a header block.
    fn end_frame(&mut self, payload: &[u8], found: &mut impl FnMut(u32)) -> Result<(), Lost> {
        let (flags, stream) = (self.head[4], self.stream());
        let fragment = if self.head[3] == HEADERS { unpadded(payload, flags, stream)? } else { payload };
        if flags & END_HEADERS == 0 {
            self.block.extend_from_slice(fragment);
            self.open = Some(stream);
            return Ok(());
        }
        let has_fragment = if self.open.take().is_none() {
            self.table.read(fragment)?
        } else {
            let mut block = std::mem::take(&mut self.block);
            block.extend_from_slice(fragment);
            self.table.read(&block)?
        };
        if has_fragment {
            found(stream);
        }
        Ok(())
    }

    fn stream(&self) -> u32 {
        let [.., a, b, c, d] = self.head;
        u32::from_be_bytes([a & 0x7f, b, c, d])
    }
}

/// The fragment of the block in a HEADERS frame, without padding and priority (RFC 9113, 6.2).
fn unpadded(mut payload: &[u8], flags: u8, stream: u32) -> Result<&[u8], Lost> {
    let mut padding = 0;
    if flags & PADDED != 0 {
        let (length, rest) = payload.split_first().ok_or(Lost)?;
        (padding, payload) = (usize::from(*length), rest);
    }
    if flags & PRIORITY != 0 {
        let (priority, rest) = payload.split_first_chunk::<5>().ok_or(Lost)?;
        // TRAP: h2 resets a stream that depends on itself without reading its block, and so its own table is wrong from there on
        // (h2 0.4.20, src/frame/headers.rs).
        let [a, b, c, d, _] = *priority;
        if u32::from_be_bytes([a & 0x7f, b, c, d]) == stream {
            return Err(Lost);
        }
        payload = rest;
    }
    let length = payload.len().checked_sub(padding).ok_or(Lost)?;
    Ok(&payload[..length])
}

/// The kept part of a field.
#[derive(Clone, Copy, Debug)]
struct Entry {
    name: usize,
    size: usize,
    is_path: bool,
    has_fragment: bool,
}

/// The dynamic table, the newest entry first.
#[derive(Debug)]
struct Table {
    entries: VecDeque<Entry>,
    size: usize,
    most: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, most: MOST_OF_THE_TABLE }
    }
}

impl Table {
    /// Reads a header block, and returns whether a `:path` in it has a `#`.
    fn read(&mut self, block: &[u8]) -> Result<bool, Lost> {
        let mut bytes = block;
        let mut has_fragment = false;
        while let Some(first) = bytes.first() {
            has_fragment |= match first {
                0x80.. => match integer(&mut bytes, 7)? {
                    0 => return Err(Lost),
                    index if index <= STATIC.len() => false,
                    index => self.entry(index)?.has_fragment,
                },
                0x40.. => {
                    let entry = self.literal(&mut bytes, 6, true)?;
                    self.insert(entry);
                    entry.has_fragment
                }
                0x20.. => {
                    self.most = integer(&mut bytes, 5)?;
                    if self.most > MOST_OF_THE_TABLE {
                        return Err(Lost);
                    }
                    self.evict(0);
                    false
                }
                _ => self.literal(&mut bytes, 4, false)?.has_fragment,
            };
        }
        Ok(has_fragment)
    }

    fn entry(&self, index: usize) -> Result<Entry, Lost> {
        index.checked_sub(STATIC.len() + 1).and_then(|index| self.entries.get(index)).copied().ok_or(Lost)
    }

    /// Reads a literal field. The length of its value is counted only if it is kept.
    fn literal(&self, bytes: &mut &[u8], prefix: u8, is_kept: bool) -> Result<Entry, Lost> {
        let (name, is_path) = match integer(bytes, prefix)? {
            0 => {
                let name = Text::read(bytes)?;
                (name.measure()?.0, name.is(PATH, PATH_IN_HUFFMAN))
            }
            index if index <= STATIC.len() => (usize::from(STATIC[index - 1]), matches!(index, 4 | 5)),
            index => self.entry(index).map(|entry| (entry.name, entry.is_path))?,
        };
        let value = Text::read(bytes)?;
        let (length, has_number_sign) = if is_kept || is_path { value.measure()? } else { (0, false) };
        Ok(Entry { name, size: name + length + OVERHEAD, is_path, has_fragment: is_path && has_number_sign })
    }

    fn insert(&mut self, entry: Entry) {
        self.evict(entry.size);
        if entry.size <= self.most {
            self.size += entry.size;
            self.entries.push_front(entry);
        }
    }

    /// Makes room for an entry (RFC 7541, 4.3 and 4.4).
    fn evict(&mut self, size: usize) {
        while self.size + size > self.most
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size;
        }
    }
}

/// A string as it came (RFC 7541, 5.2).
struct Text<'a> {
    bytes: &'a [u8],
    is_huffman: bool,
}

impl<'a> Text<'a> {
    fn read(bytes: &mut &'a [u8]) -> Result<Self, Lost> {
        let is_huffman = bytes.first().ok_or(Lost)? & 0x80 != 0;
        let length = integer(bytes, 7)?;
        let (text, rest) = bytes.split_at_checked(length).ok_or(Lost)?;
        *bytes = rest;
        Ok(Self { bytes: text, is_huffman })
    }

    /// A text has only one encoding in Huffman's code, so it can be measured.
    fn is(&self, text: &[u8], in_huffman: &[u8]) -> bool {
        self.bytes == if self.is_huffman { in_huffman } else { text }
    }

    /// Its length, and whether a `#` is in it.
    fn measure(&self) -> Result<(usize, bool), Lost> {
        if self.is_huffman {
            huffman(self.bytes).ok_or(Lost)
        } else {
            Ok((self.bytes.len(), self.bytes.contains(&b'#')))
        }
    }
}

/// Reads an integer (RFC 7541, 5.1), of as many bytes as h2 takes.
fn integer(bytes: &mut &[u8], prefix: u8) -> Result<usize, Lost> {
    let (first, mut rest) = bytes.split_first().ok_or(Lost)?;
    let mask = (1_u8 << prefix) - 1;
    let mut value = usize::from(first & mask);
    if first & mask == mask {
        for shift in [0, 7, 14, 21] {
            let (byte, after) = rest.split_first().ok_or(Lost)?;
            rest = after;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                *bytes = rest;
                return Ok(value);
            }
        }
        return Err(Lost);
    }
    *bytes = rest;
    Ok(value)
}

/// Returns the number of characters of a string in Huffman's code, and whether one is a `#`. The code is canonical: a
/// character's length follows from its position in the order of all, so nothing else is required (RFC 7541, appendix
/// B).
fn huffman(bytes: &[u8]) -> Option<(usize, bool)> {
    let mut input = bytes.iter();
    let (mut window, mut bits) = (0_u64, 0_u32);
    let (mut count, mut has_number_sign) = (0, false);
    loop {
        while bits <= 32
            && let Some(byte) = input.next()
        {
            (window, bits) = (window << 8 | u64::from(*byte), bits + 8);
        }
        // The next 32 bits; after the end there are ones only, as in the padding.
        let next = if bits >= 32 { window >> (bits - 32) } else { ((window + 1) << (32 - bits)) - 1 } & 0xffff_ffff;
        if bits < 8 && next == 0xffff_ffff {
            return Some((count, has_number_sign));
        }
        let mut length = 5;
        while next >= *LIMITS.get(length)? {
            length += 1;
        }
        bits = bits.checked_sub(u32::try_from(length).ok()?)?;
        window &= (1 << bits) - 1;
        count += 1;
        has_number_sign |= length == 12 && next >> 20 == NUMBER_SIGN;
    }
}

/// For each length the first 32 bits that begin a longer code.
const LIMITS: [u64; CODES.len()] = {
    let mut limits = [0; CODES.len()];
    let (mut code, mut length) = (0, 1);
    while length < CODES.len() {
        code = (code << 1) + CODES[length];
        limits[length] = code << (32 - length);
        length += 1;
    }
    limits
};
/// How many characters have a code of each length, from 0 to 30 bits.
const CODES: [u64; 31] =
    [0, 0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29, 0, 3];
/// The code of `#`.
const NUMBER_SIGN: u64 = 0xffa;
const PATH: &[u8] = b":path";
const PATH_IN_HUFFMAN: &[u8] = &[0xb9, 0x58, 0xd3, 0x3f];
/// The lengths of the names in the static table (RFC 7541, appendix A).
const STATIC: [u8; 61] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14, 16, 13, 12, 6, 4,
    4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10, 25, 17, 10, 4, 3, 16,
];
/// The size of an entry (RFC 7541, 4.1).
const OVERHEAD: usize = 32;
/// The default of `SETTINGS_HEADER_TABLE_SIZE`, which h2 does not change.
const MOST_OF_THE_TABLE: usize = 4096;
/// The limit of `http2` for a head that ends the connection.
const MOST_OF_A_BLOCK: usize = 128 << 10;
const PREFACE: usize = 24;
const HEAD: usize = 9;
const HEADERS: u8 = 1;
const PUSH_PROMISE: u8 = 5;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

#[cfg(test)]
mod tests;
