//! Numbers and values of a row.

use super::Result;

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// Text, or bytes.
    Bytes(Vec<u8>),
    /// A fraction, of which nothing here has one.
    Real,
}

pub(super) fn number(bytes: &[u8], at: usize, length: usize) -> Result<usize> {
    let slice = at.checked_add(length).and_then(|end| bytes.get(at..end));
    let slice = slice.ok_or_else(|| "it is cut off".to_owned())?;
    Ok(slice.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)))
}

/// Seven bits a byte, and eight of the ninth.
pub(super) fn varint(bytes: &[u8], at: usize) -> Result<(i64, usize)> {
    let mut number: u64 = 0;
    for length in 0..9 {
        let byte = *bytes.get(at + length).ok_or("a number is cut off")?;
        if length == 8 {
            return Ok(((number << 8 | u64::from(byte)).cast_signed(), at + 9));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok((number.cast_signed(), at + length + 1));
        }
    }
    Err("a number is cut off".to_owned())
}

/// A value and its length, by its serial type.
pub(super) fn value(payload: &[u8], at: usize, kind: i64) -> Result<(Value, usize)> {
    let integer = |length: usize| -> Result<(Value, usize)> {
        let slice = payload.get(at..at + length).ok_or("a row is cut off")?;
        let negative = slice.first().is_some_and(|byte| byte & 0x80 != 0);
        let start = if negative { -1 } else { 0 };
        let number = slice.iter().fold(start, |number: i64, &byte| number << 8 | i64::from(byte));
        Ok((Value::Integer(number), length))
    };
    match kind {
        0 => Ok((Value::Null, 0)),
        1..=4 => integer(usize::try_from(kind).unwrap_or(0)),
        5 => integer(6),
        6 => integer(8),
        7 => Ok((Value::Real, 8)),
        8 => Ok((Value::Integer(0), 0)),
        9 => Ok((Value::Integer(1), 0)),
        kind if kind >= 12 => {
            let length = usize::try_from((kind - 12) / 2).map_err(|_| "a value is too long")?;
            let end = at.checked_add(length).ok_or("a value is too long")?;
            let bytes = payload.get(at..end).ok_or("a row is cut off")?;
            Ok((Value::Bytes(bytes.to_vec()), length))
        }
        kind => Err(format!("a value is of the kind {kind}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_are_read() {
        assert_eq!(varint(&[0x05], 0), Ok((5, 1)));
        assert_eq!(varint(&[0x81, 0x00], 0), Ok((128, 2)));
        assert_eq!(varint(&[0xff; 9], 0), Ok((-1, 9)));
        assert!(varint(&[0x81], 0).is_err());
        assert_eq!(value(&[0xff, 0xfe], 0, 2), Ok((Value::Integer(-2), 2)));
        assert_eq!(value(&[], 0, 9), Ok((Value::Integer(1), 0)));
        assert!(value(&[1], 0, 15).is_ok_and(|(v, _)| v == Value::Bytes(vec![1])));
        assert!(value(&[1], 0, 17).is_err() && value(&[1], 0, 10).is_err());
    }
}
