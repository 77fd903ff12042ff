//! The functions of the language: those of expr-lang 1.15 (`builtin/builtin.go`), and the unambiguous ones of newer
//! versions: `max`, `min`, `mean`, `median` and `sum` of lists, `reverse`, `flatten`, `uniq`, `concat`.

mod lists;
mod numbers;
mod texts;
mod times;

use crate::context::Context;
use crate::types::Type;
use crate::value::Value;

pub struct Builtin {
    pub name: &'static str,
    signature: Signature,
    run: fn(&Call<'_>) -> Result<Value, String>,
}

/// The arguments of a call.
struct Call<'a> {
    name: &'static str,
    arguments: &'a [Value],
    context: &'a Context<'a>,
}

enum Signature {
    /// The allowed types of an argument.
    Overloads(&'static [&'static [Parameter]], Answer),
    Checked(fn(&'static str, &[Type]) -> Result<Type, String>),
}

#[derive(Clone, Copy)]
enum Parameter {
    Any,
    Text,
    Int,
    List,
}

#[derive(Clone, Copy)]
enum Answer {
    Any,
    Bool,
    Int,
    Text,
    List,
    Time,
    Duration,
}

impl std::fmt::Debug for Builtin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

pub fn find(name: &str) -> Option<&'static Builtin> {
    [lists::ALL, numbers::ALL, texts::ALL, times::ALL].into_iter().flatten().find(|builtin| builtin.name == name)
}

impl Builtin {
    const fn new(name: &'static str, signature: Signature, run: fn(&Call<'_>) -> Result<Value, String>) -> Self {
        Self { name, signature, run }
    }

    pub fn check(&self, types: &[Type]) -> Result<Type, String> {
        match &self.signature {
            Signature::Checked(check) => check(self.name, types),
            Signature::Overloads(overloads, answer) => {
                let fits = |parameters: &&[Parameter]| {
                    parameters.len() == types.len()
                        && parameters.iter().zip(types).all(|(parameter, of)| parameter.takes(of))
                };
                match overloads.iter().any(fits) {
                    true => Ok(answer.of()),
                    false => Err(self.refused(types)),
                }
            }
        }
    }

    fn refused(&self, types: &[Type]) -> String {
        let names: Vec<&str> = types.iter().map(Type::name).collect();
        match names.is_empty() {
            true => format!("{}() takes arguments", self.name),
            false => format!("{}() does not take {}", self.name, names.join(", ")),
        }
    }

    pub fn call(&self, arguments: &[Value], context: &Context<'_>) -> Result<Value, String> {
        (self.run)(&Call { name: self.name, arguments, context })
    }
}

impl Parameter {
    fn takes(self, of: &Type) -> bool {
        let known = match self {
            Self::Any => true,
            Self::Text => of.is_text(),
            Self::Int => of.is_integer(),
            Self::List => matches!(of, Type::List(element) if matches!(**element, Type::Any | Type::Text)),
        };
        known || matches!(of, Type::Any | Type::Nil)
    }
}

impl Answer {
    fn of(self) -> Type {
        match self {
            Self::Any => Type::Any,
            Self::Bool => Type::Bool,
            Self::Int => Type::Int,
            Self::Text => Type::Text,
            Self::List => Type::list(Type::Text),
            Self::Time => Type::Time,
            Self::Duration => Type::Duration,
        }
    }
}

impl Call<'_> {
    fn refused<T>(&self) -> Result<T, String> {
        let names: Vec<&str> = self.arguments.iter().map(|argument| Type::of(argument).name()).collect();
        Err(format!("{}() does not take {}", self.name, names.join(", ")))
    }

    fn list(&self, at: usize) -> Result<&[Value], String> {
        match self.arguments.get(at) {
            Some(Value::List(list)) => Ok(&list.items),
            _ => self.refused(),
        }
    }

    fn text(&self, at: usize) -> Result<&str, String> {
        match self.arguments.get(at) {
            Some(Value::Text(text)) => Ok(text),
            _ => self.refused(),
        }
    }

    /// `None` if there are fewer arguments.
    fn integer(&self, at: usize) -> Result<Option<i64>, String> {
        match self.arguments.get(at) {
            None => Ok(None),
            Some(value) => match crate::operators::integer(value) {
                Some(number) => Ok(Some(number)),
                None => self.refused(),
            },
        }
    }
}

/// Checks that there is one argument, of one of these types or of any.
fn one(name: &str, types: &[Type], fits: fn(&Type) -> bool, answer: Type) -> Result<Type, String> {
    match types {
        [of] if fits(of) || of.is_any() => Ok(answer),
        [of] => Err(format!("{name}() does not take {}", of.name())),
        _ => Err(format!("{name}() takes 1 argument, not {}", types.len())),
    }
}
