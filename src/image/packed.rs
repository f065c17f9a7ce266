//! Long lists as they are kept from run to run: small, fast to read, and refused when damaged.
//! What a layer has is kept so, by `append` and by `check`.

use std::io;

/// Nothing larger is unpacked: some hundred bytes for each of a million files.
const LARGEST: usize = 256 << 20;

/// They are read again and again, and written once.
const LEVEL: i32 = 3;

/// The bytes to keep.
///
/// # Errors
/// Where memory for the compression cannot be had.
pub(super) fn pack(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    // So that damage is noticed.
    compressor.include_checksum(true)?;
    compressor.compress(plain)
}

/// What was packed; `None` where it is damaged.
pub(super) fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    // At once, and into as much as it takes: a stream would need memory of its own.
    let size = zstd::zstd_safe::get_frame_content_size(packed).ok()??;
    let size = usize::try_from(size).ok().filter(|size| *size <= LARGEST)?;
    zstd::bulk::decompress(packed, size).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back_or_is_refused() {
        let plain: Vec<u8> = (0..4000_u32).flat_map(|number| number.to_string().into_bytes()).collect();
        let packed = pack(&plain).unwrap();
        assert!(packed.len() < plain.len());
        assert_eq!(unpack(&packed).as_deref(), Some(&*plain));
        for position in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[position] ^= 0x10;
            // A flag of the frame may change without changing what is in it.
            assert!(unpack(&damaged).is_none_or(|read| read == plain), "at {position}");
        }
        for length in [0, 10, packed.len() / 2, packed.len() - 1] {
            assert_eq!(unpack(&packed[..length]), None, "{length}");
        }
        assert_eq!(unpack(b"rubbish"), None);
        assert_eq!(unpack(&pack(b"").unwrap()).as_deref(), Some(&b""[..]));
    }
}
