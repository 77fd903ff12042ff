//! A server that speaks InfluxDB's query API, for tests: it checks method, path, token, organization and body as the API does.

use kulta_plugin::fetch::{Answer, Request};
use kulta_plugin::testing::respond;
use serde_json::Value;

pub const TOKEN: &str = "kulta-secret-00000000000000000000000000000001";
pub const ADDRESS: &str = "kulta-secret-00000000000000000000000000000002";

/// Answers a Flux query with these numbers.
pub fn influxdb(request: &Request, numbers: &[&str]) -> Answer {
    let header =
        |name: &str| request.headers.iter().find(|header| header.key == name).map(|header| header.value.as_str());
    if header("Authorization") != Some(format!("Token {TOKEN}").as_str()) {
        return respond(401, r#"{"code":"unauthorized","message":"unauthorized access"}"#);
    }
    if request.method != "POST" || request.url != format!("{ADDRESS}/api/v2/query?org=acme%20inc") {
        return respond(404, r#"{"code":"not found","message":"organization name not found"}"#);
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    if body["type"] != "flux" || !body["query"].is_string() || body["dialect"]["header"] != true {
        return respond(400, r#"{"code":"invalid","message":"request body requires either query or AST"}"#);
    }
    let rows: String = numbers.iter().map(|number| format!(",,0,{number}\r\n")).collect();
    let head =
        "#datatype,string,long,double\r\n#group,false,false,false\r\n#default,_result,,\r\n,result,table,_value\r\n";
    respond(200, &format!("{head}{rows}\r\n"))
}
