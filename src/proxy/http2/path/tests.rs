use super::*;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[0, length[0], length[1], kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Returns the streams with a `#` in these frames, for any split of the bytes.
fn found(frames: &[Vec<u8>]) -> Result<Vec<u32>, Lost> {
    let bytes = [&[b'x'; PREFACE][..], &frames.concat()].concat();
    let read = |size: usize| {
        let (mut paths, mut found) = (Paths::default(), Vec::new());
        bytes.chunks(size).try_for_each(|piece| paths.read(piece, &mut |stream| found.push(stream)))?;
        Ok(found)
    };
    let whole = read(bytes.len());
    for size in [1, 2, 7, 40] {
        assert_eq!(read(size), whole, "{size}");
    }
    whole
}

fn text(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// In Huffman's code, of the characters that the tests use.
fn coded(text: &str) -> Vec<u8> {
    let codes = text.bytes().map(|byte| match byte {
        b'#' => "111111111010",
        b'/' => "011000",
        b'a' => "00011",
        b':' => "1011100",
        b'p' => "101011",
        b't' => "01001",
        b'h' => "100111",
        b'$' => "1111111111001",
        b'\\' => "1111111111111110000",
        b'|' => "111111111111100",
        _ => unreachable!("{byte}"),
    });
    let mut bits: String = codes.collect();
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    let bytes: Vec<_> = bits.as_bytes().chunks(8).map(|bits| std::str::from_utf8(bits).unwrap()).collect();
    let bytes: Vec<_> = bytes.into_iter().map(|bits| u8::from_str_radix(bits, 2).unwrap()).collect();
    [&[0x80 | u8::try_from(bytes.len()).unwrap()], &bytes[..]].concat()
}

fn literal(first: u8, path: &[u8]) -> Vec<u8> {
    [&[first][..], path].concat()
}

#[test]
fn the_code_is_the_one_of_the_rfc() {
    // RFC 7541, C.4 and C.6.
    let examples: [(&[u8], usize); 4] = [
        (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff], 15),
        (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], 8),
        (&[0x64, 0x02], 3),
        (&[0x9d, 0x29, 0xad, 0x17, 0x18, 0x63, 0xc7, 0x8f, 0x0b, 0x97, 0xc8, 0xe9, 0xae, 0x82, 0xae, 0x43, 0xd3], 23),
    ];
    for (bytes, length) in examples {
        assert_eq!(huffman(bytes), Some((length, false)));
    }
    assert_eq!(huffman(&[]), Some((0, false)));
    for (string, has) in [("#", true), ("a#", true), ("/a#a", true), ("aaa$|#", true), ("a$\\|$", false)] {
        assert_eq!(huffman(&coded(string)[1..]), Some((string.len(), has)), "{string}");
    }
    // A whole byte of padding, zeros, and the end of string.
    for bytes in [&[0xff][..], &[0x1f, 0xff], &[0x18], &[0xff; 4], &[0xff; 9]] {
        assert_eq!(huffman(bytes), None, "{bytes:?}");
    }
    assert_eq!(CODES.iter().sum::<u64>(), 256);
    assert_eq!(LIMITS[30], 0xffff_fffc, "what is left is the end of string");
    assert_eq!(coded(":path")[1..], *PATH_IN_HUFFMAN);
}

#[test]
fn a_fragment_is_found_in_every_form_of_a_field() {
    for (path, has) in [("/a", false), ("/a#a", true), ("#", true)] {
        let expected = if has { vec![1] } else { vec![] };
        for value in [text(path), coded(path)] {
            for first in [0x04, 0x05, 0x14, 0x44, 0x45] {
                let block = [&[0x82, 0x86][..], &literal(first, &value)].concat();
                assert_eq!(found(&[frame(HEADERS, END_HEADERS, 1, &block)]), Ok(expected.clone()));
            }
            for name in [text(":path"), coded(":path")] {
                for first in [0x00, 0x10, 0x40] {
                    let block = [literal(first, &name), value.clone()].concat();
                    assert_eq!(found(&[frame(HEADERS, END_HEADERS, 1, &block)]), Ok(expected.clone()));
                }
            }
            // In another field it has no meaning.
            let block = [literal(0x40, &text("a")), value.clone(), literal(0x41, &value)].concat();
            assert_eq!(found(&[frame(HEADERS, END_HEADERS, 1, &block)]), Ok(vec![]));
        }
    }
}

#[test]
fn an_entry_of_the_table_is_known_until_it_is_evicted() {
    let head = |stream, block: &[u8]| frame(HEADERS, END_HEADERS, stream, block);
    let kept = literal(0x44, &coded("/a#a"));
    // By its index, by its name alone, and by another index after other entries.
    let other = [literal(0x40, &text("a")), text("a")].concat();
    let frames = [head(1, &kept), head(3, &[0xbe]), head(5, &other), head(7, &[0xbe]), head(9, &[0xbf])];
    assert_eq!(found(&frames), Ok(vec![1, 3, 9]));
    let named = [head(1, &literal(0x44, &text("/"))), head(3, &literal(0x7e, &text("/#"))), head(5, &[0xbf, 0xbe])];
    assert_eq!(found(&named), Ok(vec![3, 5]));
    // An entry of 41 bytes, and others of 34: with 119 of them there is room for it, with one more there is not.
    let fill = |count: u8| (0..count).map(|_| other.clone()).collect::<Vec<_>>().concat();
    let after = |count: u8| found(&[head(1, &kept), head(3, &fill(count)), head(5, &literal(0xff, &[count - 65]))]);
    assert_eq!(after(119), Ok(vec![1, 5]));
    assert_eq!(after(120), Err(Lost));
    // A smaller table loses entries, and an entry that is larger than the table empties it.
    assert_eq!(found(&[head(1, &kept), head(3, &[0x20]), head(5, &[0xbe])]), Err(Lost));
    assert_eq!(found(&[head(1, &kept), head(3, &[0x3f, 9]), head(5, &[0xbe])]), Err(Lost));
    assert_eq!(found(&[head(1, &kept), head(3, &[0x3f, 10]), head(5, &[0xbe])]), Ok(vec![1, 5]));
    assert_eq!(found(&[head(1, &[0x3f, 0xe2, 0x1f])]), Err(Lost), "more than 4096");
}

#[test]
fn a_block_may_come_in_parts_padded_and_with_a_priority() {
    let block = literal(0x04, &coded("/a#a"));
    let priority = [0x80, 0, 0, 0, 15];
    let padded = [&[3][..], &block, &[0; 3]].concat();
    assert_eq!(found(&[frame(HEADERS, END_HEADERS | PADDED, 1, &padded)]), Ok(vec![1]));
    let weighed = [&priority[..], &block].concat();
    assert_eq!(found(&[frame(HEADERS, END_HEADERS | PRIORITY, 1, &weighed)]), Ok(vec![1]));
    let both = [&[2][..], &priority, &block, &[0; 2]].concat();
    assert_eq!(found(&[frame(HEADERS, END_HEADERS | PADDED | PRIORITY, 1, &both)]), Ok(vec![1]));
    for cut in 0..=block.len() {
        let parts = [
            frame(HEADERS, 0, 3, &block[..cut]),
            frame(CONTINUATION, 0, 3, b""),
            frame(CONTINUATION, END_HEADERS, 3, &block[cut..]),
            frame(0, 0, 3, b"##"),
            frame(HEADERS, END_HEADERS, 5, &[0x84]),
        ];
        assert_eq!(found(&parts), Ok(vec![3]), "{cut}");
    }
}

#[test]
fn what_can_not_be_followed_is_lost() {
    let block = literal(0x04, &text("/"));
    for frames in [
        vec![frame(HEADERS, END_HEADERS, 0, &block)],
        vec![frame(CONTINUATION, END_HEADERS, 1, &block)],
        vec![frame(HEADERS, 0, 1, &block), frame(CONTINUATION, END_HEADERS, 3, b"")],
        vec![frame(HEADERS, 0, 1, &block), frame(0, 0, 1, b"")],
        vec![frame(HEADERS, 0, 1, &block), frame(HEADERS, END_HEADERS, 1, &block)],
        vec![frame(PUSH_PROMISE, END_HEADERS, 1, &block)],
        vec![frame(HEADERS, END_HEADERS | PADDED, 1, &[9, 0x84])],
        vec![frame(HEADERS, END_HEADERS | PRIORITY, 1, &[0, 0, 0, 3])],
        vec![frame(HEADERS, END_HEADERS | PRIORITY, 1, &[0, 0, 0, 1, 9, 0x84])],
        vec![frame(HEADERS, END_HEADERS, 1, &[0x80])],
        vec![frame(HEADERS, END_HEADERS, 1, &[0xbe])],
        vec![frame(HEADERS, END_HEADERS, 1, &[0x04, 0x02, b'/'])],
        vec![frame(HEADERS, END_HEADERS, 1, &[0x04])],
        vec![frame(HEADERS, END_HEADERS, 1, &[0x04, 0x81, 0xff])],
        vec![frame(HEADERS, END_HEADERS, 1, &[0xff, 0x80, 0x80, 0x80, 0x80, 0x01])],
        (0..9).map(|part| frame(if part == 0 { HEADERS } else { CONTINUATION }, 0, 1, &[0x84; 16_384])).collect(),
    ] {
        let shown: Vec<_> = frames.iter().map(|frame| &frame[..frame.len().min(20)]).collect();
        assert_eq!(found(&frames), Err(Lost), "{shown:?}");
    }
}
