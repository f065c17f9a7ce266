//! Which machine an ELF file is for, and which loader it names: the first bytes of a program tell.

use crate::domain::platform::Architecture;

/// How many bytes it takes to know.
pub(super) const HEADER: usize = 20;

/// The machine of an ELF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::image) enum Machine {
    /// One that Lambda has.
    Known(Architecture),
    /// Another one, by its number.
    Other(u16),
}

impl Machine {
    /// Reads the start of a file; `None` where it is not an ELF file.
    ///
    /// The class is the fifth byte (2 = 64 bits), the byte order the sixth, `e_machine` the 16
    /// bits at offset 18. <https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html>
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        let header = start.get(..HEADER)?;
        if !header.starts_with(b"\x7fELF") {
            return None;
        }
        let bytes = [header[18], header[19]];
        let machine = if header[5] == 2 { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
        Some(match (header[4], machine) {
            (2, 62) => Self::Known(Architecture::X86_64),
            (2, 183) => Self::Known(Architecture::Arm64),
            _ => Self::Other(machine),
        })
    }
}

/// Where an ELF file of 64 bits names the loader that has to start it: offset and length of the
/// name in the file. `None` where it is linked statically, and where that cannot be told from
/// the bytes that are there.
///
/// The table of program headers begins at `e_phoff`; the entry of type 3 (`PT_INTERP`) says where
/// the name lies. <https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html>
pub(super) fn loader(start: &[u8]) -> Option<(u64, u64)> {
    const PT_INTERP: u64 = 3;
    if !start.starts_with(b"\x7fELF\x02") {
        return None;
    }
    let big_endian = start.get(5) == Some(&2);
    let number = |at: usize, length: usize| -> Option<u64> {
        let bytes = start.get(at..at.checked_add(length)?)?.iter();
        let fold = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if big_endian { bytes.fold(0, fold) } else { bytes.rev().fold(0, fold) })
    };
    let (table, size, count) = (usize::try_from(number(32, 8)?).ok()?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let entry = table.checked_add(usize::try_from(index * size).ok()?)?;
        if number(entry, 4)? == PT_INTERP {
            let (offset, length) = (number(entry.checked_add(8)?, 8)?, number(entry.checked_add(32)?, 8)?);
            // What cannot be in a file is not believed.
            return offset.checked_add(length).is_some().then_some((offset, length));
        }
    }
    None
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known(architecture) => architecture.fmt(f),
            // The numbers people meet, and 62 with 32 bits: the x32 interface.
            Self::Other(3) => f.write_str("32-bit x86"),
            Self::Other(40) => f.write_str("32-bit ARM"),
            Self::Other(62) => f.write_str("x32"),
            Self::Other(243) => f.write_str("RISC-V"),
            Self::Other(number) => write!(f, "ELF machine {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(class: u8, order: u8, machine: [u8; 2]) -> Vec<u8> {
        let mut header = b"\x7fELF".to_vec();
        header.extend([class, order, 1, 0]);
        header.resize(18, 0);
        header.extend(machine);
        header
    }

    #[test]
    fn machines_are_told_apart() {
        assert_eq!(Machine::of(&header(2, 1, [62, 0])), Some(Machine::Known(Architecture::X86_64)));
        assert_eq!(Machine::of(&header(2, 1, [183, 0])), Some(Machine::Known(Architecture::Arm64)));
        assert_eq!(Machine::of(&header(1, 1, [3, 0])), Some(Machine::Other(3)));
        assert_eq!(Machine::of(&header(2, 2, [0, 22])), Some(Machine::Other(22)));
        assert_eq!(Machine::of(b"#!/bin/sh\nexec /real/program\n"), None);
        assert_eq!(Machine::of(b"\x7fELF"), None);
    }
}
