//! Arithmetic on JSON numbers as Python does it: exact for integers of any size, IEEE doubles for the rest.

use num_bigint::{BigInt, Sign};
use smallvec::SmallVec;

use crate::Error;
use crate::integer;
use crate::json::{self, Kind, MAX_DIGITS};

/// What two numbers are combined by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Multiply,
    /// The quotient, a double also of integers.
    Divide,
    /// The quotient rounded down.
    DivideDown,
    /// What rounding the quotient down leaves: it has the divisor's sign.
    Modulo,
    Power,
}

use Operator::{Add, Divide, DivideDown, Modulo, Multiply, Power};

/// Whether a JSON text is a number.
pub(crate) fn is_number(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'-' | b'0'..=b'9'))
}

/// The text of a number that was computed: on the stack, as most are short.
pub(crate) type Number = SmallVec<[u8; 32]>;

/// `left` and `right` are JSON numbers; so is the result.
pub(crate) fn calculate(left: &[u8], operator: Operator, right: &[u8]) -> Result<Number, Error> {
    // Counters, which are most of it.
    if operator == Add
        && let (Some(left), Some(right)) = (integer::parse(left), integer::parse(right))
        && let Some(sum) = left.checked_add(right)
    {
        return Ok(Number::from_slice(itoa::Buffer::new().format(sum).as_bytes()));
    }
    if json::kind(left) == Kind::Integer && json::kind(right) == Kind::Integer {
        return Ok(combine_integers(&whole(left)?, operator, &whole(right)?)?.into_bytes().into());
    }
    Ok(printed(combine_doubles(double(left)?, operator, double(right)?)?)?.into_bytes().into())
}

/// A JSON integer of any size.
pub(crate) fn whole(text: &[u8]) -> Result<BigInt, Error> {
    BigInt::parse_bytes(text, 10).ok_or_else(|| Error::argument(text, "not a whole number"))
}

/// The double nearest to a number.
pub(crate) fn double(text: &[u8]) -> Result<f64, Error> {
    let number: f64 =
        std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(overflow)?;
    // The integer -0 is 0.
    let number = if json::kind(text) == Kind::Integer { number + 0.0 } else { number };
    if number.is_finite() { Ok(number) } else { Err(overflow()) }
}

/// The shortest text that means this double.
pub(crate) fn printed(number: f64) -> Result<String, Error> {
    if number.is_finite() { Ok(format!("{number:?}")) } else { Err(overflow()) }
}

fn combine_integers(left: &BigInt, operator: Operator, right: &BigInt) -> Result<String, Error> {
    let result = match operator {
        Add => left + right,
        Multiply => {
            // Its bits are those of both together, or one fewer.
            limited(left.bits() + right.bits() > MAX_BITS + 1)?;
            left * right
        }
        Divide => return printed(quotient(left, nonzero(right)?)),
        DivideDown => divide_down(left, nonzero(right)?).0,
        Modulo => divide_down(left, nonzero(right)?).1,
        Power if right.sign() == Sign::Minus => {
            let doubles = (double(left.to_string().as_bytes())?, double(right.to_string().as_bytes())?);
            return printed(combine_doubles(doubles.0, Power, doubles.1)?);
        }
        Power => power(left, right)?,
    };
    let text = result.to_string();
    limited(text.trim_start_matches('-').len() > MAX_DIGITS)?;
    Ok(text)
}

/// The bits of the largest integer that a document may hold.
const MAX_BITS: u64 = 14_285;

fn limited(is_too_long: bool) -> Result<(), Error> {
    if is_too_long {
        return Err(Error::Limit { reason: "the result would have more than 4300 digits" });
    }
    Ok(())
}

fn power(base: &BigInt, exponent: &BigInt) -> Result<BigInt, Error> {
    if base.bits() <= 1 {
        // 0, 1 and -1 stay as small as they are: all that counts is whether there is a factor, and a second one.
        let parity = if exponent.bit(0) { 1 } else { 2 };
        return Ok(base.pow(if exponent.sign() == Sign::NoSign { 0 } else { parity }));
    }
    // A base of n bits is 2 to the power of n - 1 at least.
    let exponent = u32::try_from(exponent).ok().filter(|exponent| {
        (base.bits() - 1).checked_mul(u64::from(*exponent)).is_some_and(|bits| bits <= MAX_BITS)
    });
    limited(exponent.is_none())?;
    Ok(base.pow(exponent.unwrap_or_default()))
}

/// The quotient rounded down, and what is left.
fn divide_down(left: &BigInt, right: &BigInt) -> (BigInt, BigInt) {
    let (quotient, rest) = (left / right, left % right);
    if rest.sign() == Sign::NoSign || rest.sign() == right.sign() {
        (quotient, rest)
    } else {
        (quotient - 1, rest + right)
    }
}

/// An integer that a double holds exactly.
#[expect(clippy::cast_precision_loss, reason = "none: it has 53 bits at most")]
fn exact(number: &BigInt) -> Option<f64> {
    i64::try_from(number).ok().filter(|number| number.unsigned_abs() <= 1 << 53).map(|number| number as f64)
}

/// The double nearest to the quotient of two integers.
fn quotient(left: &BigInt, right: &BigInt) -> f64 {
    /// More than the decimal digits of any double, and of any middle between two.
    const DIGITS: u32 = 800;
    if let (Some(left), Some(right)) = (exact(left), exact(right)) {
        return left / right;
    }
    let digits = |number: &BigInt| number.magnitude().to_string().len() as u32;
    let shift = (DIGITS + digits(right)).saturating_sub(digits(left));
    let shifted = left.magnitude() * BigInt::from(10).magnitude().pow(shift);
    let (whole, rest) = (&shifted / right.magnitude(), &shifted % right.magnitude());
    // One more digit stands for all that follow: it says whether there are any.
    let more = u8::from(rest.bits() > 0);
    let sign = if (left.sign() == Sign::Minus) == (right.sign() == Sign::Minus) { "" } else { "-" };
    format!("{sign}{whole}{more}e-{}", shift + 1).parse().unwrap_or(f64::NAN)
}

fn combine_doubles(left: f64, operator: Operator, right: f64) -> Result<f64, Error> {
    let divisor = match operator {
        Divide | DivideDown | Modulo => right,
        Power if right < 0.0 => left,
        Add | Multiply | Power => 1.0,
    };
    if divisor == 0.0 {
        return Err(division_by_zero());
    }
    Ok(match operator {
        Add => left + right,
        Multiply => left * right,
        Divide => left / right,
        DivideDown => divide_doubles_down(left, right),
        Modulo => modulo(left, right),
        Power if left < 0.0 && right.fract() != 0.0 => {
            return Err(Error::range(b"POW", "a negative number's power with a fraction is no real number"));
        }
        Power => left.powf(right),
    })
}

fn modulo(left: f64, right: f64) -> f64 {
    let rest = left % right;
    if rest == 0.0 {
        0.0_f64.copysign(right)
    } else if (rest < 0.0) == (right < 0.0) {
        rest
    } else {
        rest + right
    }
}

/// As Python rounds: to the whole number next to the quotient of what the rest leaves.
fn divide_doubles_down(left: f64, right: f64) -> f64 {
    let rest = left % right;
    let mut quotient = (left - rest) / right;
    if rest != 0.0 && (rest < 0.0) != (right < 0.0) {
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return 0.0_f64.copysign(left / right);
    }
    let whole = quotient.floor();
    if quotient - whole > 0.5 { whole + 1.0 } else { whole }
}

fn nonzero(divisor: &BigInt) -> Result<&BigInt, Error> {
    if divisor.sign() == Sign::NoSign { Err(division_by_zero()) } else { Ok(divisor) }
}

fn division_by_zero() -> Error {
    Error::range(b"0", "nothing is divided by zero")
}

fn overflow() -> Error {
    Error::range(b"number", "the result is beyond what a double can hold")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calc(left: &str, operator: Operator, right: &str) -> Result<String, Error> {
        let number = calculate(left.as_bytes(), operator, right.as_bytes())?;
        Ok(String::from_utf8(number.into_vec()).unwrap())
    }

    fn sum(left: &str, right: &str) -> Result<String, Error> {
        calc(left, Add, right)
    }

    #[test]
    fn integers_add_exactly_at_any_size() {
        assert_eq!(sum("9007199254740993", "1").unwrap(), "9007199254740994");
        assert_eq!(sum("9223372036854775807", "1").unwrap(), "9223372036854775808");
        assert_eq!(sum("-1", "1").unwrap(), "0");
        let nines = "9".repeat(60);
        assert_eq!(sum(&nines, "1").unwrap(), format!("1{}", "0".repeat(60)));
        assert_eq!(sum(&format!("-{nines}"), &nines).unwrap(), "0");
    }

    #[test]
    fn floats_print_shortest_and_stay_floats() {
        assert_eq!(sum("0.1", "0.2").unwrap(), "0.30000000000000004");
        assert_eq!(sum("1.5", "1.5").unwrap(), "3.0");
        assert_eq!(sum("1e16", "0").unwrap(), "1e16");
        assert_eq!(sum("2", "1e-7").unwrap(), "2.0000001");
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert!(matches!(sum("1e308", "1e308"), Err(Error::OutOfRange { .. })));
        assert!(matches!(sum(&"9".repeat(400), "0.5"), Err(Error::OutOfRange { .. })));
        assert!(matches!(sum(&"9".repeat(MAX_DIGITS), "1"), Err(Error::Limit { .. })));
    }

    #[test]
    fn the_largest_integer_has_as_many_bits_as_it_says() {
        let largest = whole("9".repeat(MAX_DIGITS).as_bytes()).unwrap();
        assert_eq!(largest.bits(), MAX_BITS);
    }

    #[test]
    fn integers_round_down_and_the_rest_has_the_divisors_sign() {
        for (left, right, quotient, rest) in
            [("7", "2", "3", "1"), ("-7", "2", "-4", "1"), ("7", "-2", "-4", "-1"), ("-7", "-2", "3", "-1")]
        {
            assert_eq!(calc(left, DivideDown, right).unwrap(), quotient);
            assert_eq!(calc(left, Modulo, right).unwrap(), rest);
        }
    }

    #[test]
    fn doubles_round_down_and_keep_the_sign_of_zero() {
        for (left, right, quotient, rest) in [
            ("7.5", "-2", "-4.0", "-0.5"),
            ("-7.5", "2", "-4.0", "0.5"),
            ("5.0", "0.1", "49.0", "0.09999999999999973"),
            ("0.0", "-3", "-0.0", "-0.0"),
            ("-6.0", "3", "-2.0", "0.0"),
            ("-1e-300", "1e300", "-1.0", "1e300"),
        ] {
            assert_eq!(calc(left, DivideDown, right).unwrap(), quotient, "{left} // {right}");
            assert_eq!(calc(left, Modulo, right).unwrap(), rest, "{left} % {right}");
        }
    }

    #[test]
    fn a_quotient_of_integers_is_the_nearest_double() {
        assert_eq!(calc("0", Divide, "-5").unwrap(), "-0.0");
        assert_eq!(calc("1", Divide, "3").unwrap(), "0.3333333333333333");
        assert_eq!(calc("9007199254740993", Divide, "1").unwrap(), "9007199254740992.0");
        assert_eq!(calc("9007199254740995", Divide, "-1").unwrap(), "-9007199254740996.0");
        let power = |exponent: u32| BigInt::from(2).pow(exponent).to_string();
        assert_eq!(calc("1", Divide, &power(1074)).unwrap(), "5e-324");
        assert_eq!(calc("1", Divide, &power(1075)).unwrap(), "0.0");
        assert_eq!(calc("-3", Divide, &power(1076)).unwrap(), "-5e-324");
        assert_eq!(calc(&power(14_000), Divide, &power(13_000)).unwrap(), "1.0715086071862673e301");
        assert!(matches!(calc(&power(2000), Divide, "3"), Err(Error::OutOfRange { .. })));
    }

    #[test]
    fn powers_are_exact_or_doubles_and_never_too_long() {
        assert_eq!(calc("-3", Power, "41").unwrap(), "-36472996377170786403");
        assert_eq!(calc("2", Power, "-1").unwrap(), "0.5");
        assert_eq!(calc("0", Power, "0").unwrap(), "1");
        let endless = "9".repeat(MAX_DIGITS);
        assert_eq!(calc("-1", Power, &endless).unwrap(), "-1");
        assert_eq!(calc("0", Power, &endless).unwrap(), "0");
        assert_eq!(calc("10", Power, "4299").unwrap().len(), 4300);
        for (base, exponent) in [("10", "4300"), ("2", &*endless), (&*endless, "2"), (&*endless, &*endless)] {
            assert!(matches!(calc(base, Power, exponent), Err(Error::Limit { .. })));
        }
        for (base, exponent) in [("0", "-1"), ("0.0", "-0.5"), ("-8", "0.5"), ("10.0", "400")] {
            assert!(
                matches!(calc(base, Power, exponent), Err(Error::OutOfRange { .. })),
                "{base} {exponent}"
            );
        }
    }
}
