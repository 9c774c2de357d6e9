//! Ages as users write them: `30d`, `12h`, `1w2d`. Pure.

use std::fmt;

/// A length of time, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Age {
    /// In seconds.
    pub seconds: u64,
    text: String,
}

const UNITS: [(char, u64); 5] =
    [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 7 * 86_400)];

impl Age {
    /// Reads numbers with a unit each, one behind the other.
    ///
    /// # Errors
    /// What is wrong with it, for a message.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no age: write a number and s, m, h, d or w, like 30d");
        let (mut seconds, mut number) = (0u64, None);
        for c in text.chars() {
            if let Some(digit) = c.to_digit(10) {
                let tens = number.unwrap_or(0u64).checked_mul(10);
                number = Some(tens.and_then(|n| n.checked_add(digit.into())).ok_or_else(wrong)?);
            } else {
                let unit = UNITS.iter().find(|(unit, _)| *unit == c).ok_or_else(wrong)?.1;
                let part = number.take().ok_or_else(wrong)?.checked_mul(unit).ok_or_else(wrong)?;
                seconds = seconds.checked_add(part).ok_or_else(wrong)?;
            }
        }
        if text.is_empty() || number.is_some() {
            return Err(wrong());
        }
        Ok(Self { seconds, text: text.to_owned() })
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_with_a_unit() {
        for (text, seconds) in [
            ("0s", 0),
            ("45s", 45),
            ("90m", 5_400),
            ("12h", 43_200),
            ("30d", 2_592_000),
            ("2w", 1_209_600),
            ("1w2d3h", 7 * 86_400 + 2 * 86_400 + 3 * 3_600),
        ] {
            let age = Age::parse(text).expect(text);
            assert_eq!((age.seconds, age.to_string().as_str()), (seconds, text));
        }
    }

    #[test]
    fn what_is_no_age_is_named_with_the_mend() {
        let huge = "9".repeat(30) + "d";
        for text in ["", "30", "d", "30x", "-3d", "3 d", "1.5d", "3dd", "30D", &huge, "1w2"] {
            let why = Age::parse(text).expect_err(text);
            assert!(why.contains(&format!("'{text}'")) && why.contains("like 30d"), "{why}");
        }
        assert!(Age::parse("18446744073709551615s").is_ok());
        assert!(Age::parse("18446744073709551615s1s").is_err());
    }
}
