//! The secret manager: signs and decrypts with keys that never leave the confidential environment.
//!
//! In: bytes, as the only file of a `multipart/form-data` request (RFC 7578): `POST {SECRET_MANAGER_URL}/sign` takes it in the
//! field `file`, `POST .../decrypt` in the field `message`. Out: the body of the answer; a JSON string where the server says
//! that it is JSON. Plaintexts are wiped when dropped. What a signature is (its form, its algorithm) is the platform's.

use zeroize::Zeroizing;

use super::{
    Environment, Patience,
    client::{Answer, Client},
    error::{PlatformError, Service},
};

/// The most that is sent to be signed or decrypted.
const MAX_SENT_BYTES: usize = 8 << 20;
/// The most that is read of an answer.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Signs with the key that the platform keeps for the confidential environment.
pub trait PlatformSigner: Send + Sync {
    /// Signs bytes, and gives the signature as the platform writes it.
    ///
    /// # Errors
    /// That the signer cannot be reached, refuses, or answers something that is no signature.
    fn sign(&self, bytes: &[u8]) -> Result<PlatformSignature, PlatformError>;
}

/// A signature as the platform writes it: a text, usually base64. It is not secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformSignature(String);

impl PlatformSignature {
    /// The signature's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The platform's secret manager.
#[derive(Clone, Debug)]
pub struct SecretManager {
    client: Client,
}

impl SecretManager {
    /// Takes the address from the environment.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        Self { client: Client::new(Service::SecretManager, environment.secret_manager.clone()) }
    }

    /// Waits so long and no longer.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { client: self.client.with_patience(patience) }
    }

    /// Its address, without credentials.
    #[must_use]
    pub fn place(&self) -> String {
        self.client.place()
    }

    /// Tells whether it answers at all; nothing is signed or decrypted for that.
    ///
    /// # Errors
    /// [`PlatformError::Service`] where it does not.
    pub fn is_there(&self) -> Result<(), PlatformError> {
        self.client.is_there()
    }

    /// Decrypts what was encrypted to the confidential environment.
    ///
    /// # Errors
    /// [`PlatformError::Service`], [`PlatformError::TooLargeToSend`].
    pub fn decrypt(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, PlatformError> {
        let answer = self.send("decrypt", "message", "message.txt", sealed)?;
        if !answer.is_json {
            return Ok(answer.bytes);
        }
        let text: Zeroizing<String> = serde_json::from_slice::<String>(&answer.bytes)
            .map(Zeroizing::new)
            .map_err(|_| self.client.odd("is JSON, but no text"))?;
        Ok(Zeroizing::new(text.as_bytes().to_vec()))
    }

    fn send(
        &self,
        path: &'static str,
        field: &'static str,
        file: &'static str,
        bytes: &[u8],
    ) -> Result<Answer, PlatformError> {
        if bytes.len() > MAX_SENT_BYTES {
            return Err(PlatformError::TooLargeToSend { bytes: bytes.len(), limit: MAX_SENT_BYTES });
        }
        let boundary = boundary(bytes);
        let body = multipart(&boundary, field, file, bytes);
        self.client.post(&[path], &format!("multipart/form-data; boundary={boundary}"), body, MAX_ANSWER_BYTES)
    }
}

impl PlatformSigner for SecretManager {
    fn sign(&self, bytes: &[u8]) -> Result<PlatformSignature, PlatformError> {
        let answer = self.send("sign", "file", "file.txt", bytes)?;
        let text = match answer.is_json {
            true => {
                serde_json::from_slice::<String>(&answer.bytes).map_err(|_| self.client.odd("is JSON, but no text"))?
            }
            false => {
                let text = std::str::from_utf8(&answer.bytes).map_err(|_| self.client.odd("is not a text"))?;
                text.to_owned()
            }
        };
        match text.trim() {
            "" => Err(self.client.odd("holds no signature")),
            signature => Ok(PlatformSignature(signature.to_owned())),
        }
    }
}

/// A boundary that does not occur in the bytes; the same for the same bytes, as it need not be secret.
fn boundary(bytes: &[u8]) -> String {
    let mut number = 0_u64;
    loop {
        let boundary = format!("datafuse-part-{number:016x}");
        if !bytes.windows(boundary.len()).any(|window| window == boundary.as_bytes()) {
            return boundary;
        }
        number += 1;
    }
}

fn multipart(boundary: &str, field: &str, file: &str, bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(bytes.len() + 256);
    body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
    body.extend_from_slice(
        format!("Content-Disposition: form-data; name=\"{field}\"; filename=\"{file}\"\r\n").as_bytes(),
    );
    body.extend_from_slice(b"Content-Type: application/octet-stream\r\n\r\n");
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    body
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_boundary_is_none_of_the_bytes() {
        assert_eq!(boundary(b"hello"), "datafuse-part-0000000000000000");
        let hostile = b"x\r\n--datafuse-part-0000000000000000--\r\n";
        assert_eq!(boundary(hostile), "datafuse-part-0000000000000001");
    }

    #[test]
    fn a_body_is_one_part_with_the_bytes_as_they_are() {
        let body = multipart("b", "message", "message.txt", b"a\r\n\0b");
        let expected = "--b\r\nContent-Disposition: form-data; name=\"message\"; filename=\"message.txt\"\r\n\
                        Content-Type: application/octet-stream\r\n\r\na\r\n\0b\r\n--b--\r\n";
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}
