//! Who reads the reports of a space, and whether they are encrypted: the recipients of its data users, all together.
//!
//! A report is one document for all users. So it is encrypted where every user has a recipient, and in clear where nobody has one.
//! Where some have one and others have not, it can be neither: one asked that nobody else reads it.

use datafuse_core::id::ParticipantId;

use crate::agreement::Space;

/// In what form reports are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readership<'a> {
    /// In clear: no user has a recipient.
    Clear,
    /// Encrypted to the recipient (`age1...`) of each user.
    Encrypted(Vec<(&'a ParticipantId, &'a str)>),
    /// In none.
    Mixed {
        /// Users who have a recipient.
        with: Vec<&'a ParticipantId>,
        /// Users who have none.
        without: Vec<&'a ParticipantId>,
    },
}

impl Space {
    /// In what form the reports of this space are made.
    #[must_use]
    pub fn readership(&self) -> Readership<'_> {
        let (mut recipients, mut without) = (Vec::new(), Vec::new());
        for (id, user) in self.users() {
            match &user.recipient {
                Some(recipient) => recipients.push((id, recipient.as_str())),
                None => without.push(id),
            }
        }
        match (recipients.is_empty(), without.is_empty()) {
            (true, _) => Readership::Clear,
            (false, true) => Readership::Encrypted(recipients),
            (false, false) => Readership::Mixed { with: recipients.into_iter().map(|(id, _)| id).collect(), without },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::agreement::example;

    const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    #[test]
    fn reports_are_encrypted_to_all_users_or_to_none() {
        let space = |users: &str| {
            Space::parse(&example::yaml().replacen("  insights:\n    roles: [user]\n", users, 1)).unwrap()
        };
        let with = |name: &str| format!("  {name}:\n    roles: [user]\n    recipient: {RECIPIENT}\n");
        assert_eq!(example::space().readership(), Readership::Clear);
        assert_eq!(space("").readership(), Readership::Clear);
        let one = space(&with("insights"));
        let insights = "insights".parse().unwrap();
        assert_eq!(one.readership(), Readership::Encrypted(vec![(&insights, RECIPIENT)]));
        let two = space(&(with("insights") + &with("office")));
        assert!(matches!(two.readership(), Readership::Encrypted(of) if of.len() == 2));
        let mixed = space(&(with("insights") + "  office:\n    roles: [user]\n"));
        let office = "office".parse().unwrap();
        assert_eq!(mixed.readership(), Readership::Mixed { with: vec![&insights], without: vec![&office] });
    }
}
