//! Made-up people: names, places, telephone numbers and e-mail addresses of seven languages, each a function of a number.
//!
//! In goes a number, out comes a [`Person`]; different numbers give different addresses, and these stay different when letter
//! case and surrounding spaces are ignored. That is by construction, so no list of addresses given out is ever needed: the
//! number is read as digits of mixed radix (language, first name, last name, domain, form, repetition), and the address
//! can be read back into these digits. Every domain ends in a name reserved for examples (RFC 2606): nobody has these addresses.
//! Telephone numbers have the form of mobile numbers of the country; nobody was asked for theirs.

use std::fmt::Write;

const FIRST_NAMES: usize = 24;
const LAST_NAMES: usize = 32;
const DOMAINS: usize = 6;
const CITIES: usize = 8;
/// The forms of a local part: three separators, or an initial with a number.
const FORMS: u64 = 4;

/// How many addresses there are before any is told apart by a higher number alone.
pub(crate) const ADDRESSES: u64 = (LOCALES.len() * FIRST_NAMES * LAST_NAMES * DOMAINS) as u64 * FORMS;

/// A language with what is usual where it is spoken.
struct Locale {
    first_names: [&'static str; FIRST_NAMES],
    last_names: [&'static str; LAST_NAMES],
    /// Plain domains; no two languages have one in common.
    domains: [&'static str; DOMAINS],
    /// An internationalised domain, at which local parts keep their accents.
    unicode_domain: &'static str,
    cities: [&'static str; CITIES],
    country_code: &'static str,
    /// The digits of a mobile number with which seven free ones make it complete.
    mobile_prefix: &'static str,
    /// How the national digits are grouped.
    grouping: &'static str,
}

/// Somebody who does not exist.
pub(crate) struct Person {
    locale: &'static Locale,
    first: usize,
    last: usize,
    domain: usize,
    form: u64,
    repetition: u64,
    /// Seven digits.
    subscriber: u64,
}

impl Person {
    /// Makes the person of a number.
    pub(crate) fn new(number: u64) -> Self {
        let mut rest = number;
        let mut digit = |radix: usize| {
            let digit = rest % radix as u64;
            rest /= radix as u64;
            usize::try_from(digit).unwrap_or(0)
        };
        let locale = &LOCALES[digit(LOCALES.len())];
        let (first, last, domain) = (digit(FIRST_NAMES), digit(LAST_NAMES), digit(DOMAINS));
        let form = digit(FORMS as usize) as u64;
        // Within a language, numbers are this many apart; an odd factor without 5 permutes the seven digits.
        let subscriber = (number / LOCALES.len() as u64).wrapping_mul(7_654_321) % 10_000_000;
        Self { locale, first, last, domain, form, repetition: rest, subscriber }
    }

    /// Gives the first name.
    pub(crate) fn first_name(&self) -> &'static str {
        self.locale.first_names[self.first]
    }

    /// Gives the last name.
    pub(crate) fn last_name(&self) -> &'static str {
        self.locale.last_names[self.last]
    }

    /// Gives one of the language's cities, by any number.
    pub(crate) fn city(&self, number: u64) -> &'static str {
        self.locale.cities[usize::try_from(number % CITIES as u64).unwrap_or(0)]
    }

    /// Writes the address in its plain spelling: lower case, no spaces. With `ascii` it has no other letters.
    ///
    /// Whether a number is asked for with or without `ascii` must be the same each time: each of the two alone gives
    /// different addresses to different numbers, and so does any mixture, as the last domain is replaced, not shared.
    pub(crate) fn write_email(&self, ascii: bool, out: &mut String) {
        let unicode = !ascii && self.domain == DOMAINS - 1;
        let name = |name: &str, out: &mut String| {
            for letter in name.chars().filter(|c| c.is_alphabetic()) {
                if unicode { out.extend(letter.to_lowercase()) } else { out.push(plain_letter(letter)) }
            }
        };
        if self.form == FORMS - 1 {
            // The number says which of the first names with this initial, and which repetition.
            let mut initial = String::new();
            name(self.first_name(), &mut initial);
            out.extend(initial.chars().next());
            name(self.last_name(), out);
            let _ = write!(out, "{}", 10 + self.repetition * FIRST_NAMES as u64 + self.first as u64);
        } else {
            name(self.first_name(), out);
            out.push(['.', '_', '-'][usize::try_from(self.form).unwrap_or(0) % 3]);
            name(self.last_name(), out);
            self.write_repetition(out);
        }
        out.push('@');
        out.push_str(if unicode { self.locale.unicode_domain } else { self.locale.domains[self.domain] });
    }

    /// Writes nothing for the first of that name, two digits that look drawn for the next hundred, then the number itself.
    fn write_repetition(&self, out: &mut String) {
        let _ = match self.repetition {
            0 => Ok(()),
            n @ 1..=100 => write!(out, "{:02}", (n * 61 + self.first as u64 * 7 + self.last as u64 * 13) % 100),
            n => write!(out, "{n}"),
        };
    }

    /// Writes the telephone number with its country code; plain digits or grouped by the given separator.
    pub(crate) fn write_phone(&self, separator: Option<char>, out: &mut String) {
        let Locale { country_code, mobile_prefix, grouping, .. } = self.locale;
        let _ = write!(out, "+{country_code}");
        let digits = format!("{mobile_prefix}{:07}", self.subscriber);
        let Some(separator) = separator else {
            out.push_str(&digits);
            return;
        };
        out.push(separator);
        let mut digits = digits.chars();
        for mark in grouping.chars() {
            match mark {
                '#' => out.extend(digits.next()),
                _ => out.push(separator),
            }
        }
    }
}

/// A letter of the names without its accent, in lower case.
pub(crate) fn plain_letter(letter: char) -> char {
    match letter.to_lowercase().next().unwrap_or(letter) {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ą' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'è' | 'é' | 'ê' | 'ë' | 'ę' => 'e',
        'ì' | 'í' | 'î' | 'ï' => 'i',
        'ł' => 'l',
        'ñ' | 'ń' => 'n',
        'ò' | 'ó' | 'ô' | 'ö' => 'o',
        'ś' | 'ß' => 's',
        'ù' | 'ú' | 'û' | 'ü' => 'u',
        'ź' | 'ż' => 'z',
        other => other,
    }
}

#[rustfmt::skip]
static LOCALES: [Locale; 7] = [
    // English
    Locale {
        first_names: [
            "Oliver", "Amelia", "George", "Isla", "Harry", "Ava", "Noah", "Emily", "Jack", "Sophie", "Leo", "Grace",
            "Arthur", "Lily", "Thomas", "Freya", "Oscar", "Chloe", "Henry", "Zoë", "Archie", "Ruby", "Edward", "Renée",
        ],
        last_names: [
            "Smith", "Jones", "Taylor", "Brown", "Williams", "Wilson", "Johnson", "Davies", "Robinson", "Wright",
            "Thompson", "Evans", "Walker", "White", "Roberts", "Green", "Hall", "Wood", "Jackson", "Clarke", "O'Brien",
            "Hughes", "Turner", "Cooper", "Ward", "Harrison", "Fletcher", "Bennett", "Shaw", "Baker", "Marsh", "Whitfield",
        ],
        domains: [
            "example.com", "post.example", "inbox.example", "letters.example.com", "workshop.example.org",
            "brightmail.example",
        ],
        unicode_domain: "café-mail.example",
        cities: [
            "London", "Manchester", "Leeds", "Bristol", "Glasgow", "Cardiff", "Belfast", "Norwich",
        ],
        country_code: "44",
        mobile_prefix: "740",
        grouping: "#### ######",
    },
    // French
    Locale {
        first_names: [
            "Louise", "Gabriel", "Jade", "Raphaël", "Emma", "Léo", "Chloé", "Hugo", "Alice", "Jules", "Inès", "Lucas",
            "Zélie", "Adam", "Camille", "Arthur", "Anaïs", "Théo", "Manon", "Noé", "Françoise", "Benoît", "Hélène",
            "Mathéo",
        ],
        last_names: [
            "Martin", "Bernard", "Dubois", "Thomas", "Robert", "Richard", "Petit", "Durand", "Leroy", "Moreau", "Simon",
            "Laurent", "Lefèvre", "Michel", "Garcia", "David", "Bertrand", "Roux", "Vincent", "Fournier", "Morel",
            "Girard", "André", "Mercier", "Dupont", "Lambert", "Bonnet", "François", "Legrand", "Garnier", "Chevalier",
            "Béranger",
        ],
        domains: [
            "courriel.example", "boite.example", "exemple.example.com", "lettres.example", "atelier.example.org",
            "facteur.example",
        ],
        unicode_domain: "boîte-aux-lettres.example",
        cities: [
            "Paris", "Lyon", "Marseille", "Nîmes", "Orléans", "Besançon", "Liège", "Genève",
        ],
        country_code: "33",
        mobile_prefix: "61",
        grouping: "# ## ## ## ##",
    },
    // Dutch
    Locale {
        first_names: [
            "Daan", "Emma", "Sem", "Julia", "Lucas", "Mila", "Levi", "Tess", "Finn", "Zoë", "Noud", "Sara", "Luuk",
            "Anna", "Milan", "Eva", "Bram", "Lieke", "Thijs", "Fleur", "Jens", "Noor", "Ruben", "Loïs",
        ],
        last_names: [
            "De Jong", "Jansen", "De Vries", "Van den Berg", "Van Dijk", "Bakker", "Janssens", "Visser", "Smit", "Meijer",
            "De Boer", "Mulder", "De Groot", "Bos", "Vos", "Peters", "Hendriks", "Van Leeuwen", "Dekker", "Brouwer",
            "De Wit", "Dijkstra", "Smits", "De Graaf", "Van der Meer", "Peeters", "Maes", "Claes", "Wouters", "Goossens",
            "Willems", "Mertens",
        ],
        domains: [
            "postbus.example", "brievenbus.example", "voorbeeld.example.com", "werkplaats.example.org", "kantoor.example",
            "bode.example",
        ],
        unicode_domain: "ideeën-post.example",
        cities: [
            "Amsterdam", "Rotterdam", "Utrecht", "Gent", "Antwerpen", "Leuven", "Groningen", "Eindhoven",
        ],
        country_code: "31",
        mobile_prefix: "61",
        grouping: "# ########",
    },
    // German
    Locale {
        first_names: [
            "Mia", "Noah", "Emilia", "Matteo", "Hannah", "Elias", "Sophia", "Finn", "Lina", "Leon", "Mila", "Theo",
            "Clara", "Jürgen", "Jörg", "Käthe", "Björn", "Günter", "Anneliese", "Lukas", "Marlene", "Felix", "Greta",
            "Sönke",
        ],
        last_names: [
            "Müller", "Schmidt", "Schneider", "Fischer", "Weber", "Meyer", "Wagner", "Becker", "Schulz", "Hoffmann",
            "Schäfer", "Koch", "Bauer", "Richter", "Klein", "Wolf", "Schröder", "Neumann", "Schwarz", "Zimmermann",
            "Braun", "Krüger", "Hofmann", "Hartmann", "Lange", "Krause", "Lehmann", "Köhler", "Weiß", "Jäger", "Möller",
            "Böhm",
        ],
        domains: [
            "briefkasten.example", "eilpost.example", "beispiel.example.com", "werkstatt.example.org", "kontor.example",
            "bote.example",
        ],
        unicode_domain: "bücher.example",
        cities: [
            "Berlin", "Hamburg", "München", "Köln", "Düsseldorf", "Nürnberg", "Zürich", "Wien",
        ],
        country_code: "49",
        mobile_prefix: "1511",
        grouping: "### ########",
    },
    // Spanish
    Locale {
        first_names: [
            "Lucía", "Hugo", "Martina", "Mateo", "Sofía", "Martín", "María", "Leo", "Julia", "Daniel", "Paula",
            "Alejandro", "Valeria", "Manuel", "Emma", "Pablo", "Daniela", "Álvaro", "Carla", "Adrián", "Íñigo", "Begoña",
            "Ramón", "Nuria",
        ],
        last_names: [
            "García", "Rodríguez", "González", "Fernández", "López", "Martínez", "Sánchez", "Pérez", "Gómez", "Martín",
            "Jiménez", "Ruiz", "Hernández", "Díaz", "Moreno", "Muñoz", "Álvarez", "Romero", "Alonso", "Gutiérrez",
            "Navarro", "Torres", "Domínguez", "Vázquez", "Ramos", "Gil", "Ramírez", "Serrano", "Blanco", "Molina",
            "Ibáñez", "Peña",
        ],
        domains: [
            "correo.example", "buzon.example", "ejemplo.example.com", "taller.example.org", "carta.example",
            "oficina.example",
        ],
        unicode_domain: "correo-español.example",
        cities: [
            "Madrid", "Barcelona", "Sevilla", "Málaga", "Cádiz", "Logroño", "Gijón", "Valencia",
        ],
        country_code: "34",
        mobile_prefix: "61",
        grouping: "### ### ###",
    },
    // Polish
    Locale {
        first_names: [
            "Zuzanna", "Antoni", "Zofia", "Jan", "Hanna", "Aleksander", "Julia", "Franciszek", "Maja", "Jakub", "Łucja",
            "Stanisław", "Małgorzata", "Paweł", "Agnieszka", "Michał", "Świętosława", "Grzegorz", "Elżbieta", "Łukasz",
            "Katarzyna", "Żaneta", "Piotr", "Kinga",
        ],
        last_names: [
            "Nowak", "Kowalski", "Wiśniewski", "Wójcik", "Kowalczyk", "Kamiński", "Lewandowski", "Zieliński", "Szymański",
            "Woźniak", "Dąbrowski", "Kozłowski", "Jankowski", "Mazur", "Kwiatkowski", "Krawczyk", "Kaczmarek",
            "Piotrowski", "Grabowski", "Zając", "Pawłowski", "Michalski", "Król", "Wieczorek", "Jabłoński", "Wróbel",
            "Nowakowski", "Majewski", "Olszewski", "Stępień", "Malinowski", "Gołąb",
        ],
        domains: [
            "poczta.example", "skrzynka.example", "przyklad.example.com", "warsztat.example.org", "listonosz.example",
            "biuro.example",
        ],
        unicode_domain: "łącznik.example",
        cities: [
            "Warszawa", "Kraków", "Łódź", "Wrocław", "Poznań", "Gdańsk", "Szczecin", "Lublin",
        ],
        country_code: "48",
        mobile_prefix: "60",
        grouping: "### ### ###",
    },
    // Italian
    Locale {
        first_names: [
            "Leonardo", "Sofia", "Francesco", "Aurora", "Tommaso", "Giulia", "Edoardo", "Ginevra", "Alessandro",
            "Beatrice", "Lorenzo", "Alice", "Mattia", "Vittoria", "Gabriele", "Emma", "Riccardo", "Matilde", "Andrea",
            "Anna", "Nicolò", "Noè", "Giosuè", "Chiara",
        ],
        last_names: [
            "Rossi", "Russo", "Ferrari", "Esposito", "Bianchi", "Romano", "Colombo", "Ricci", "Marino", "Greco", "Bruno",
            "Gallo", "Conti", "De Luca", "Mancini", "Costa", "Giordano", "Rizzo", "Lombardi", "Moretti", "Barbieri",
            "Fontana", "Santoro", "Mariani", "Rinaldi", "Caruso", "Ferrara", "Galli", "Martini", "Leone", "D'Angelo",
            "Nicolì",
        ],
        domains: [
            "lettera.example", "cassetta.example", "esempio.example.com", "bottega.example.org", "ufficio.example",
            "postino.example",
        ],
        unicode_domain: "caffè-posta.example",
        cities: [
            "Roma", "Milano", "Torino", "Napoli", "Bologna", "Forlì", "Firenze", "Genova",
        ],
        country_code: "39",
        mobile_prefix: "347",
        grouping: "### ### ####",
    },
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use super::*;

    fn email(number: u64, ascii: bool) -> String {
        let mut email = String::new();
        Person::new(number).write_email(ascii, &mut email);
        email
    }

    #[test]
    fn plain_names_are_distinct_ascii_and_domains_belong_to_one_language() {
        let plain = |name: &&str| name.chars().filter(|c| c.is_alphabetic()).map(plain_letter).collect::<String>();
        let mut domains = HashSet::new();
        for locale in &LOCALES {
            for names in [&locale.first_names[..], &locale.last_names[..]] {
                let plain: HashSet<_> = names.iter().map(plain).collect();
                assert_eq!(plain.len(), names.len());
                assert!(plain.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase())), "{plain:?}");
                assert!(
                    names.iter().all(|name| name.chars().all(|c| !('\u{300}'..'\u{370}').contains(&c))),
                    "composed"
                );
            }
            for domain in locale.domains.iter().chain([&locale.unicode_domain]) {
                assert!(domains.insert(*domain), "{domain} is used twice");
                let reserved = [".example", "example.com", ".example.com", ".example.org"];
                assert!(reserved.iter().any(|end| domain.ends_with(end)), "{domain} is not reserved for examples");
            }
            assert_eq!(locale.grouping.matches('#').count(), locale.mobile_prefix.len() + 7);
        }
    }

    #[test]
    fn different_numbers_have_different_addresses() {
        let mut seen = HashSet::new();
        // Every digit of the number takes all its values; the repetition goes past a hundred.
        for number in (0..3 * ADDRESSES).chain((99 * ADDRESSES..103 * ADDRESSES).step_by(97)) {
            // As in a data set: some people's addresses are plain, whatever their number.
            let email = email(number, number % 5 < 3);
            let key = email.trim().to_lowercase();
            assert_eq!(key, email, "the plain spelling is lower case without spaces");
            assert!(seen.insert(key), "{number}");
        }
    }

    #[test]
    fn plain_addresses_are_ascii_and_others_not_always() {
        assert!((0..ADDRESSES).all(|number| email(number, true).is_ascii()));
        let accented = (0..ADDRESSES).filter(|number| !email(*number, false).is_ascii()).count() as u64;
        assert_eq!(accented, ADDRESSES / DOMAINS as u64);
    }

    #[test]
    fn an_address_has_one_at_sign_a_local_part_and_a_dot_in_the_domain() {
        for number in 0..ADDRESSES {
            let email = email(number, number % 2 == 0);
            let (local, domain) = email.split_once('@').unwrap();
            assert!(
                !local.is_empty() && !domain.contains('@') && domain.contains('.') && !email.contains(' '),
                "{email}"
            );
        }
    }

    #[test]
    fn telephone_numbers_are_distinct_and_have_one_length_per_country() {
        let mut seen = HashSet::new();
        for number in 0..ADDRESSES {
            let (mut plain, mut spaced) = (String::new(), String::new());
            Person::new(number).write_phone(None, &mut plain);
            Person::new(number).write_phone(Some(' '), &mut spaced);
            assert_eq!(spaced.replace(' ', ""), plain);
            assert!((12..=14).contains(&plain.len()), "{plain}");
            assert!(seen.insert(plain));
        }
        let mut dotted = String::new();
        Person::new(1).write_phone(Some('.'), &mut dotted);
        assert_eq!(dotted, "+33.6.10.00.00.00");
    }
}
