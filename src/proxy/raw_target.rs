//! Targets with bytes that the parser of pingora refuses and an application can accept: Latin-1, and JSON in a query.
//!
//! TRAP: `httparse` accepts no target that is not UTF-8 (httparse 1.10.1, src/lib.rs), and `http` no quotation mark in
//! a query, no grave accent and no angle brackets (http 1.5.0, src/uri/path.rs). So pingora gets a placeholder for each
//! such byte, and Tollgate gets the target as it came.

/// The state for reading a request line.
#[derive(Debug, Default)]
pub(super) struct RawTarget {
    has_begun: bool,
    spaces: u8,
    /// Number of target bytes so far.
    length: usize,
    hidden: Hidden,
}

/// The part of the target from its first hidden byte on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hidden {
    from: usize,
    bytes: Vec<u8>,
}

impl RawTarget {
    /// Reads further bytes of a request, and replaces the bytes that pingora would refuse in its target. Returns the
    /// hidden part when the target is complete.
    pub(super) fn hide(&mut self, bytes: &mut [u8]) -> Option<Hidden> {
        for byte in bytes {
            match *byte {
                _ if self.spaces == 2 => return None,
                // Empty lines may precede it (RFC 9112, 2.2).
                b'\r' | b'\n' if !self.has_begun => {}
                b' ' => {
                    self.spaces += 1;
                    if self.spaces == 2 && !self.hidden.is_empty() {
                        return Some(std::mem::take(&mut self.hidden));
                    }
                }
                as_it_came => {
                    self.has_begun = true;
                    if self.spaces == 1 {
                        self.target(as_it_came, byte);
                    }
                }
            }
        }
        None
    }

    fn target(&mut self, as_it_came: u8, byte: &mut u8) {
        if is_refused(as_it_came) {
            if self.hidden.is_empty() {
                self.hidden.from = self.length;
            }
            *byte = PLACEHOLDER;
        }
        if !self.hidden.is_empty() || *byte != as_it_came {
            self.hidden.bytes.push(as_it_came);
        }
        self.length += 1;
    }
}

impl Hidden {
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the raw target for the one that pingora got.
    pub(super) fn restore(&self, target: &[u8]) -> Vec<u8> {
        [target.get(..self.from).unwrap_or(target), &self.bytes].concat()
    }
}

const fn is_refused(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'`' | 0x80..)
}

/// It is allowed anywhere in a target and ends nothing.
const PLACEHOLDER: u8 = b'_';

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::wire;

    /// Returns the bytes for pingora, and the hidden part, for any split of the bytes.
    fn hide(line: &[u8]) -> (Vec<u8>, Option<Hidden>) {
        let hide = |size: usize| {
            let (mut raw, mut bytes, mut hidden) = (RawTarget::default(), line.to_vec(), None);
            for piece in bytes.chunks_mut(size) {
                hidden = raw.hide(piece).or(hidden);
            }
            (bytes, hidden)
        };
        let whole = hide(line.len());
        for size in [1, 3, 7] {
            assert_eq!(hide(size), whole, "{size}");
        }
        whole
    }

    #[test]
    fn what_pingora_refuses_is_hidden_and_put_back() {
        for target in
            [&b"/x?q={\"a\":1}"[..], b"/x?q=\xfc", b"/\xff/\"b\"?<>`", "/caf\u{e9}?q=\u{fc}&x".as_bytes(), b"\x80"]
        {
            let line = [b"\r\nGET ", target, b" HTTP/1.1\r\nA: \"b\" \xff\r\n\r\n\"<>"].concat();
            let (bytes, hidden) = hide(&line);
            assert_eq!(bytes.len(), line.len());
            let got = wire::target(&bytes).unwrap();
            assert!(got.iter().all(|byte| !is_refused(*byte)) && got.len() == target.len());
            assert_eq!(hidden.unwrap().restore(got), target);
            assert!(bytes.ends_with(b"A: \"b\" \xff\r\n\r\n\"<>"), "only the target is touched");
        }
        let line = b"GET /x?q={}|[]^%zz HTTP/1.1\r\nA: \"\r\n\r\n";
        assert_eq!(hide(line), (line.to_vec(), None));
    }
}
