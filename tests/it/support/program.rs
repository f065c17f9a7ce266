//! Small real programs for images: compiled on the spot, or just enough of one to be recognised.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A static program for this machine, compiled once for all tests of a run.
pub fn static_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // It names the Runtime API, so that no check takes it for something that is no function.
        let text = "#include <stdio.h>\n#include <stdlib.h>\n\
            int main(void) { puts(getenv(\"AWS_LAMBDA_RUNTIME_API\") ? \"Lambda\" : \"hello\"); return 0; }\n";
        compile("hello", text)
    })
}

/// A static Lambda function that does what its event says, compiled once for all tests of a run.
pub fn function() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("function", include_str!("programs/function.c")))
}

/// A static Lambda extension, compiled once for all tests of a run.
pub fn extension() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("extension", include_str!("programs/extension.c")))
}

fn compile(name: &str, text: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("program-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (source, program) = (folder.join(format!("{name}.c")), folder.join(name));
    std::fs::write(&source, text).unwrap();
    let status = Command::new("cc")
        .args(["-static", "-O1", "-s", "-w", "-o"])
        .arg(&program)
        .arg(&source)
        .status()
        .expect("a C compiler is installed");
    assert!(status.success(), "the C library's static archive is installed (libc6-dev)");
    program
}

/// This machine's architecture as Lambda names it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "x86_64",
    }
}

/// The other architecture.
pub fn other_architecture() -> &'static str {
    match architecture() {
        "x86_64" => "arm64",
        _ => "x86_64",
    }
}

/// The header of a 64-bit ELF program: enough to tell what it would run on.
pub fn elf_header(architecture: &str) -> Vec<u8> {
    let machine: u16 = if architecture == "arm64" { 183 } else { 62 };
    let mut header = vec![0; 64];
    header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    header[16..18].copy_from_slice(&2_u16.to_le_bytes()); // ET_EXEC
    header[18..20].copy_from_slice(&machine.to_le_bytes());
    header[20..24].copy_from_slice(&1_u32.to_le_bytes());
    header[52..54].copy_from_slice(&64_u16.to_le_bytes());
    header
}

/// Tells whether a 64-bit little-endian ELF program asks for a dynamic loader (`PT_INTERP`).
pub fn wants_a_loader(program: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    assert_eq!(&program[..6], b"\x7fELF\x02\x01", "a 64-bit little-endian ELF program");
    let number = |at: usize, length: usize| {
        let mut bytes = [0; 8];
        bytes[..length].copy_from_slice(&program[at..at + length]);
        u64::from_le_bytes(bytes) as usize
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|entry| number(table + entry * size, 4) == PT_INTERP as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_static_program_from_one_that_needs_a_loader() {
        assert!(!wants_a_loader(&std::fs::read(static_program()).unwrap()));
        assert!(wants_a_loader(&std::fs::read(std::env::current_exe().unwrap()).unwrap()));
    }
}
