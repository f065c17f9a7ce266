//! The frames of an AWS event stream, as responses that are streamed are made of.
//!
//! <https://smithy.io/2.0/aws/amazon-eventstream.html>

use flate2::Crc;

/// What both checksums and both lengths take.
const AROUND: usize = 16;
/// The type of a header whose value is a text.
const TEXT: u8 = 7;

/// Appends the frame of one event.
pub(super) fn event(name: &str, content_type: &str, payload: &[u8], frames: &mut Vec<u8>) {
    let mut headers = Vec::new();
    for (name, value) in [(":message-type", "event"), (":event-type", name), (":content-type", content_type)]
    {
        headers.push(name.len() as u8);
        headers.extend_from_slice(name.as_bytes());
        headers.push(TEXT);
        headers.extend_from_slice(&(value.len() as u16).to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let begin = frames.len();
    let length = AROUND + headers.len() + payload.len();
    frames.extend_from_slice(&(length as u32).to_be_bytes());
    frames.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    frames.extend_from_slice(&checksum(&frames[begin..]));
    frames.extend_from_slice(&headers);
    frames.extend_from_slice(payload);
    frames.extend_from_slice(&checksum(&frames[begin..]));
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let mut checksum = Crc::new();
    checksum.update(bytes);
    checksum.sum().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::read_message_from;

    use super::*;

    #[test]
    fn frames_are_what_the_sdks_read() {
        let mut frames = Vec::new();
        event("PayloadChunk", "application/octet-stream", b"\0bytes", &mut frames);
        let first = frames.len();
        event("InvokeComplete", "application/json", b"{}", &mut frames);
        for (frame, name, payload) in [
            (&frames[..first], "PayloadChunk", b"\0bytes".as_slice()),
            (&frames[first..], "InvokeComplete", b"{}"),
        ] {
            let message = read_message_from(frame).unwrap();
            assert_eq!(&message.payload()[..], payload);
            let named = message.headers().iter().find(|header| header.name().as_str() == ":event-type");
            assert_eq!(named.unwrap().value().as_string().unwrap().as_str(), name);
        }
    }
}
