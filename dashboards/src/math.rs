//! The part of Grafana's math expressions that our rules use: arithmetic, comparison, `&&`, `||`, `!` and `abs`.

use std::collections::BTreeMap;

/// What identifies an alert instance.
pub type Labels = BTreeMap<String, String>;

/// Numbers by labels; `None` is Grafana's null, which every operation keeps.
pub type Numbers = Vec<(Labels, Option<f64>)>;

/// Decides an expression over reduced queries, named `$name`.
///
/// Two operands are matched as Grafana does: by equal labels, or where one side's labels contain the other's (no
/// labels, as a constant has, match everything); what matches nothing is dropped.
///
/// # Errors
/// Where the expression does not parse, or names a variable that is not there.
pub fn evaluate(expression: &str, variables: &BTreeMap<&str, Numbers>) -> Result<Numbers, String> {
    let mut parser = Parser { tokens: tokens(expression)?, at: 0, variables };
    let numbers = parser.binary(0)?;
    match parser.tokens.get(parser.at) {
        None => Ok(numbers),
        Some(token) => Err(format!("`{token}` does not continue the expression")),
    }
}

/// Binary operators by how tightly they bind, the loosest first; longer ones before their prefixes.
const LEVELS: [&[&str]; 5] =
    [&["||"], &["&&"], &["==", "!=", ">=", "<=", ">", "<"], &["+", "-"], &["*", "/"]];

struct Parser<'a> {
    tokens: Vec<String>,
    at: usize,
    variables: &'a BTreeMap<&'a str, Numbers>,
}

impl Parser<'_> {
    fn binary(&mut self, level: usize) -> Result<Numbers, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) =
            self.tokens.get(self.at).filter(|token| operators.contains(&token.as_str())).cloned()
        {
            self.at += 1;
            let right = self.binary(level + 1)?;
            left = join(&left, &right, |a, b| apply(&operator, a, b));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Numbers, String> {
        let token = self.next()?;
        match token.as_str() {
            "-" => Ok(map(self.unary()?, |value| -value)),
            "!" => Ok(map(self.unary()?, |value| if value.is_nan() { value } else { truth(value == 0.0) })),
            "(" => self.closed(),
            "abs" => {
                self.expect("(")?;
                Ok(map(self.closed()?, f64::abs))
            }
            name if name.starts_with('$') => self
                .variables
                .get(&name[1..])
                .cloned()
                .ok_or_else(|| format!("`{name}` is neither a query nor an expression")),
            number => match number.parse() {
                Ok(value) => Ok(vec![(Labels::new(), Some(value))]),
                Err(_) => Err(format!("`{number}` is not a number")),
            },
        }
    }

    fn closed(&mut self) -> Result<Numbers, String> {
        let inner = self.binary(0)?;
        self.expect(")")?;
        Ok(inner)
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        let found = self.next()?;
        if found == token { Ok(()) } else { Err(format!("`{found}` where `{token}` belongs")) }
    }

    fn next(&mut self) -> Result<String, String> {
        let token = self.tokens.get(self.at).cloned().ok_or("the expression ends too early")?;
        self.at += 1;
        Ok(token)
    }
}

fn tokens(expression: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let operator = LEVELS.iter().copied().flatten().find(|operator| rest.starts_with(**operator));
        let length = if let Some(operator) = operator {
            operator.len()
        } else if matches!(first, '(' | ')' | '!') {
            1
        } else if first == '$' || first.is_ascii_alphanumeric() {
            let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
            rest[1..].find(|c| !word(c)).map_or(rest.len(), |end| end + 1)
        } else {
            return Err(format!("`{first}` has no meaning in an expression"));
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn join(left: &Numbers, right: &Numbers, apply: impl Fn(f64, f64) -> f64) -> Numbers {
    let contains =
        |outer: &Labels, inner: &Labels| inner.iter().all(|(key, value)| outer.get(key) == Some(value));
    let mut joined = Numbers::new();
    for (a_labels, a) in left {
        for (b_labels, b) in right {
            let labels = if contains(a_labels, b_labels) {
                a_labels
            } else if contains(b_labels, a_labels) {
                b_labels
            } else {
                continue;
            };
            joined.push((labels.clone(), a.zip(*b).map(|(a, b)| apply(a, b))));
        }
    }
    joined
}

fn map(numbers: Numbers, apply: impl Fn(f64) -> f64) -> Numbers {
    numbers.into_iter().map(|(labels, value)| (labels, value.map(&apply))).collect()
}

const fn truth(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

/// One operation; `&&` and `||` are decided by the left side alone where they can be, otherwise NaN makes NaN.
fn apply(operator: &str, a: f64, b: f64) -> f64 {
    match operator {
        "||" if a != 0.0 => return 1.0,
        "&&" if a == 0.0 => return 0.0,
        _ => {}
    }
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    match operator {
        "||" | "&&" => truth(b != 0.0),
        "==" => truth(a == b),
        "!=" => truth(a != b),
        ">=" => truth(a >= b),
        "<=" => truth(a <= b),
        ">" => truth(a > b),
        "<" => truth(a < b),
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" => a / b,
        _ => unreachable!("the parser yields the operators of LEVELS only"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str) -> Labels {
        Labels::from([("route".to_owned(), name.to_owned())])
    }

    fn decide(expression: &str) -> Option<f64> {
        evaluate(expression, &BTreeMap::new()).unwrap()[0].1
    }

    #[test]
    fn operators_bind_as_in_grafana() {
        assert_eq!(decide("1 + 2 * 3 > 6 && 1 < 2"), Some(1.0));
        assert_eq!(decide("(1 + 2) * 3 == 9 && !(2 >= 3)"), Some(1.0));
        assert_eq!(decide("abs(2 - 5) / 2"), Some(1.5));
        assert_eq!(decide("-1 < 0 || 1 == 2"), Some(1.0));
        assert_eq!(decide("0.0144"), Some(0.0144));
    }

    #[test]
    fn a_constant_meets_every_series_and_series_meet_by_labels() {
        let ratio = vec![(route("/a"), Some(0.5)), (route("/b"), Some(0.01))];
        let requests = vec![(route("/b"), Some(90.0)), (route("/a"), Some(70.0)), (route("/c"), Some(9.0))];
        let variables = BTreeMap::from([("ratio", ratio), ("requests", requests)]);
        let firing = evaluate("$ratio > 0.05 && $requests >= 50", &variables).unwrap();
        assert_eq!(firing, [(route("/a"), Some(1.0)), (route("/b"), Some(0.0))]);
    }

    #[test]
    fn null_stays_null_and_nan_is_not_false() {
        let variables = BTreeMap::from([("null", vec![(Labels::new(), None)])]);
        assert_eq!(evaluate("$null > 1", &variables).unwrap()[0].1, None);
        assert!(decide("0 / 0 > 1").unwrap().is_nan());
    }

    #[test]
    fn what_does_not_parse_says_where() {
        let error = |expression| evaluate(expression, &BTreeMap::new()).unwrap_err();
        assert_eq!(error("1 +"), "the expression ends too early");
        assert_eq!(error("(1 2"), "`2` where `)` belongs");
        assert_eq!(error("1 2"), "`2` does not continue the expression");
        assert_eq!(error("$gone > 1"), "`$gone` is neither a query nor an expression");
        assert_eq!(error("1 % 2"), "`%` has no meaning in an expression");
    }
}
