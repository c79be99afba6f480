//! The description of the API (OpenAPI 3.1): what handlers say of themselves, and what holds for
//! all of them.

use domain::StationId;
use domain::token::IdTagUid;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, Schema};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, PathItem,
    Ref, RefOr, Required, ResponseBuilder, Type,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::extract::{ENTRY_TEXT, IF_MATCH, Key as _, PLAIN, STATION_ID};
use super::problem::{Fault, Problem};

/// The paths that need a token begin so; one of the service's own does too.
const PROTECTED: [&str; 2] = ["/api/v1/", super::drills::RISELOAD];
/// The name of the way to authenticate.
const BEARER: &str = "token";

/// The description as it is served and committed.
pub fn openapi() -> OpenApi {
    finish(super::described().1)
}

/// What the description begins with.
pub(super) fn base() -> OpenApi {
    let license = LicenseBuilder::new()
        .name("Apache-2.0")
        .identifier(Some("Apache-2.0"))
        .build();
    let info = InfoBuilder::new()
        .title("Enchufe")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Runs an electric-vehicle charging network. Errors are RFC 9457 problem documents; \
             lists come in pages; a changed resource has a new ETag, and If-Match guards against \
             lost updates; a POST with an Idempotency-Key is carried out once.",
        ))
        .license(Some(license))
        .build();
    OpenApiBuilder::new().info(info).build()
}

/// Adds what holds for every path.
pub(super) fn finish(mut openapi: OpenApi) -> OpenApi {
    let components = openapi.components.get_or_insert_default();
    components
        .schemas
        .insert(Problem::name().into_owned(), Problem::schema());
    components
        .schemas
        .insert(Fault::name().into_owned(), Fault::schema());
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "An access token: the one printed at the first start, or one made of it.",
        ))
        .build();
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    components.schemas.values_mut().for_each(spell_out);
    if let Some(RefOr::T(Schema::OneOf(commands))) = components.schemas.get_mut("NewCommand") {
        commands.items.iter_mut().for_each(close);
        commands.items.iter_mut().for_each(need_no_parameters);
    }
    for (path, item) in &mut openapi.paths.paths {
        for (method, operation) in operations(item) {
            describe(path, method, operation);
        }
    }
    openapi
}

/// Bodies say `pattern = "plain"` for texts people read (see [`is_plain`](super::extract::is_plain)):
/// here the word becomes the pattern, written once.
fn spell_out(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            match object.pattern.as_deref() {
                Some("plain") => object.pattern = Some(PLAIN.to_owned()),
                Some("entry text") => object.pattern = Some(ENTRY_TEXT.to_owned()),
                Some("drill time") => object.pattern = Some(super::drills::TIME.to_owned()),
                Some("station id") => object.pattern = Some(STATION_ID.to_owned()),
                _ => {}
            }
            object.properties.values_mut().for_each(spell_out);
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                spell_out(items);
            }
        }
        Schema::OneOf(any) => any.items.iter_mut().for_each(spell_out),
        Schema::AnyOf(any) => any.items.iter_mut().for_each(spell_out),
        Schema::AllOf(all) => all.items.iter_mut().for_each(spell_out),
        _ => {}
    }
}

/// Nothing stands beside the fields described: of enums, what serde refuses is not known here.
fn close(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(object)) = schema {
        let nothing = AdditionalProperties::FreeForm(false);
        object.additional_properties = Some(Box::new(nothing));
    }
}

/// A command whose parameters may be null needs none.
fn need_no_parameters(command: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(command)) = command
        && let Some(RefOr::T(Schema::OneOf(_))) = command.properties.get("parameters")
    {
        command.required.retain(|name| name != "parameters");
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

fn is_protected(path: &str) -> bool {
    PROTECTED.iter().any(|start| path.starts_with(start))
}

fn describe(path: &str, method: &'static str, operation: &mut Operation) {
    describe_parameters(path, operation);
    // Handlers are named for their resource's file; here they stand beside those of the others.
    operation.operation_id = Some(operation_id(path, method));
    if !is_protected(path) {
        return;
    }
    operation.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>(
        BEARER,
        [],
    )]);
    let changes = method != "get";
    let body = operation.request_body.is_some();
    problem(
        operation,
        "401",
        "No access token, or one that is not known.",
    );
    problem(operation, "403", "The token's role may not do this.");
    problem(
        operation,
        "429",
        "Too many wrong credentials from this address.",
    );
    problem(
        operation,
        "500",
        "The server failed; its log has the reason.",
    );
    problem(
        operation,
        "503",
        "The database does not answer, or too much is waiting.",
    );
    problem(operation, "504", "It took too long.");
    if operation.parameters.iter().flatten().any(is_bookmark) {
        problem(
            operation,
            "410",
            "Events after that one are kept no longer.",
        );
    }
    if path.contains('{') {
        problem(operation, "404", "There is no such thing.");
    }
    if body
        || operation
            .parameters
            .as_ref()
            .is_some_and(|all| all.iter().any(is_query))
    {
        problem(
            operation,
            "422",
            "The request was understood and does not hold.",
        );
    }
    if body {
        problem(operation, "400", "The request could not be read.");
        problem(operation, "413", "The body is too long.");
        problem(operation, "415", "The body is not JSON.");
    }
    if changes {
        problem(operation, "409", "The present state does not allow it.");
    }
    if method == "post" {
        problem(operation, "400", "The request could not be read.");
        header(
            operation,
            "Idempotency-Key",
            "Carried out once, however often it is sent.",
            "^[\\x21-\\x7e]{1,255}$",
            "0198c1a2-7b1e-7c44-9d0a-5f2e8a1b3c4d",
        );
    } else if changes
        && !path.starts_with("/api/v1/tokens")
        && !path.starts_with("/api/v1/drills")
        && !path.ends_with("credentials")
        && !path.ends_with("entries")
    {
        problem(operation, "412", "The resource changed since it was read.");
        header(
            operation,
            "If-Match",
            "The ETag that the change is based on.",
            IF_MATCH,
            "*",
        );
        problem(operation, "400", "The request could not be read.");
    }
}

fn describe_parameters(path: &str, operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else {
            continue;
        };
        // What names a thing looks the same wherever it stands.
        let key = match (&parameter.parameter_in, parameter.name.as_str()) {
            (ParameterIn::Path, "uid") => Some(IdTagUid::schema()),
            (ParameterIn::Path, "id") if path.starts_with("/api/v1/stations/") => {
                Some(StationId::schema())
            }
            _ => None,
        };
        if let Some(key) = key {
            parameter.schema = Some(key.into());
        }
        if let Some(schema) = &mut parameter.schema {
            spell_out(schema);
        }
    }
}

fn is_bookmark(parameter: &RefOr<Parameter>) -> bool {
    matches!(parameter, RefOr::T(parameter) if parameter.name == "Last-Event-ID")
}

fn is_query(parameter: &RefOr<Parameter>) -> bool {
    let RefOr::T(parameter) = parameter else {
        return false;
    };
    parameter.parameter_in == ParameterIn::Query || parameter.name == "Last-Event-ID"
}

/// `get /api/v1/stations/{id}/events` becomes `get_stations_by_id_events`.
fn operation_id(path: &str, method: &str) -> String {
    let path = path.trim_start_matches("/api/v1");
    let words = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| {
            match segment
                .strip_prefix('{')
                .and_then(|name| name.strip_suffix('}'))
            {
                Some(name) => format!("_by_{name}"),
                None => format!("_{}", segment.replace('-', "_")),
            }
        });
    let words: String = words.collect();
    format!(
        "{method}{}",
        if words.is_empty() { "_main" } else { &words }
    )
}

fn problem(operation: &mut Operation, status: &str, description: &str) {
    if operation.responses.responses.contains_key(status) {
        return;
    }
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name())));
    let mut response = ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content.build());
    if matches!(status, "429" | "503") {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer);
        let header = HeaderBuilder::new()
            .schema(Some(seconds))
            .description(Some("Seconds to wait."));
        response = response.header("Retry-After", header.build());
    }
    operation
        .responses
        .responses
        .insert(status.to_owned(), response.build().into());
}

fn header(operation: &mut Operation, name: &str, description: &str, pattern: &str, example: &str) {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern))
        .examples([example]);
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(text));
    operation
        .parameters
        .get_or_insert_default()
        .push(parameter.build().into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_for_people_says_what_it_is_made_of() {
        let text = openapi().to_json().unwrap();
        assert!(!text.contains(r#""pattern":"plain""#), "not spelled out");
        let plain = serde_json::to_string(PLAIN).unwrap();
        assert!(text.contains(&format!(r#""pattern":{plain}"#)));
    }

    #[test]
    fn what_needs_a_token_says_so() {
        let mut openapi = openapi();
        for (path, item) in &mut openapi.paths.paths {
            for (method, operation) in operations(item) {
                let protected = is_protected(path);
                let refused = operation.responses.responses.contains_key("401");
                assert_eq!(operation.security.is_some(), protected, "{method} {path}");
                assert_eq!(refused, protected, "{method} {path}");
            }
        }
    }
}
