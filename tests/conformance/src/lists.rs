//! Lists: selectors, pages, versions.

use anyhow::Result;
use serde_json::{Value, json};

use crate::place::{Place, config_map, expect, gadget, names};

/// ConfigMaps a to e; others that a real cluster puts into a namespace have no label `kind`.
async fn five(place: &Place) -> Result<()> {
    for name in ["a", "b", "c", "d", "e"] {
        let mut body = config_map(name, "1");
        body["metadata"]["labels"]["kind"] = "five".into();
        place.post(&place.config_maps(""), &body).await?.is(201)?;
    }
    Ok(())
}

async fn listed(place: &Place, query: &str) -> Result<Value> {
    place.get(&place.config_maps(query)).await?.is(200)
}

pub async fn labels_select(place: &Place) -> Result<()> {
    five(place).await?;
    let queries = [
        ("?labelSelector=app%3Da", vec!["a"]),
        ("?labelSelector=app%20in%20(a,b),kind%3Dfive", vec!["a", "b"]),
        ("?labelSelector=app%20notin%20(a,b),kind", vec!["c", "d", "e"]),
        ("?labelSelector=app!%3Da,kind,!other", vec!["b", "c", "d", "e"]),
    ];
    for (query, wanted) in queries {
        let list = listed(place, query).await?;
        expect(names(&list) == wanted, query, &list)?;
    }
    place.get(&place.config_maps("?labelSelector=a%20b")).await?.refused(400, "BadRequest").map(drop)
}

pub async fn a_name_selects(place: &Place) -> Result<()> {
    five(place).await?;
    let list = listed(place, "?fieldSelector=metadata.name%3Db").await?;
    expect(names(&list) == ["b"], "wrong names", &list)
}

pub async fn an_unknown_field_selects_nothing(place: &Place) -> Result<()> {
    place.get(&place.config_maps("?fieldSelector=data.a%3D1")).await?.refused(400, "BadRequest")?;
    place.get(&place.pods("?fieldSelector=spec.nonsense%3D1")).await?.refused(400, "BadRequest")?;
    place.get(&place.gadgets("?fieldSelector=spec.size%3D1")).await?.refused(400, "BadRequest").map(drop)
}

pub async fn events_are_selected_by_what_they_are_about(place: &Place) -> Result<()> {
    for (name, about) in [("one", "x"), ("two", "y")] {
        let body = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": { "name": name }, "reason": "Tested", "message": "m", "type": "Normal",
            "involvedObject": { "kind": "Thing", "name": about, "namespace": place.namespace },
        });
        place.post(&place.path("v1", "events"), &body).await?.is(201)?;
    }
    let path =
        place.path("v1", "events?fieldSelector=involvedObject.kind%3DThing,involvedObject.name%3Dy,reason%3DTested");
    let list = place.get(&path).await?.is(200)?;
    expect(names(&list) == ["two"], "wrong events", &list)
}

pub async fn pages_add_up(place: &Place) -> Result<()> {
    five(place).await?;
    let mut found: Vec<String> = Vec::new();
    let mut token = String::new();
    loop {
        let page = listed(place, &format!("?labelSelector=kind%3Dfive&limit=2&continue={token}")).await?;
        expect(page["items"].as_array().is_some_and(|items| items.len() <= 2), "too long a page", &page)?;
        found.extend(names(&page).iter().map(|name| (*name).to_owned()));
        match page["metadata"]["continue"].as_str() {
            Some(next) => token = next.replace('=', "%3D"),
            None => break,
        }
    }
    expect(found == ["a", "b", "c", "d", "e"], "pages", &json!(found))
}

pub async fn a_page_shows_the_list_as_it_began(place: &Place) -> Result<()> {
    for name in ["a", "b", "c"] {
        place.post(&place.gadgets(""), &gadget(name)).await?.is(201)?;
    }
    let first = place.get(&place.gadgets("?limit=1")).await?.is(200)?;
    expect(first["metadata"]["remainingItemCount"] == 2, "how many are left", &first)?;
    place.delete(&place.gadgets("b"), &json!({})).await?.is(200)?;
    place.post(&place.gadgets(""), &gadget("bb")).await?.is(201)?;
    let token = first["metadata"]["continue"].as_str().unwrap_or_default().replace('=', "%3D");
    let path = place.gadgets(&format!("?limit=5&continue={token}"));
    let rest = place.quietly("GET", &path, "application/json", String::new()).await?.is(200)?;
    let version = rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"];
    expect(names(&rest) == ["b", "c"] && version, "not as it began", &rest)
}

pub async fn a_token_that_is_none_is_refused(place: &Place) -> Result<()> {
    place.get(&place.config_maps("?limit=1&continue=nonsense")).await?.refused(400, "BadRequest").map(drop)
}

pub async fn an_earlier_version_is_listed_exactly(place: &Place) -> Result<()> {
    place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    let before = place.get(&place.gadgets("")).await?.is(200)?;
    place.post(&place.gadgets(""), &gadget("b")).await?.is(201)?;
    let version = before["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let exact = place.gadgets(&format!("?resourceVersion={version}&resourceVersionMatch=Exact"));
    let list = place.get(&exact).await?.is(200)?;
    expect(names(&list) == ["a"] && list["metadata"]["resourceVersion"] == version, "not exact", &list)?;
    let newer = place.gadgets(&format!("?resourceVersion={version}&resourceVersionMatch=NotOlderThan"));
    let list = place.get(&newer).await?.is(200)?;
    expect(names(&list).contains(&"a"), "too old", &list)
}

pub async fn a_version_match_needs_a_version(place: &Place) -> Result<()> {
    place.get(&place.config_maps("?resourceVersionMatch=Exact")).await?.refused(422, "Invalid")?;
    let path = place.config_maps("?resourceVersion=0&resourceVersionMatch=Exact");
    place.get(&path).await?.refused(422, "Invalid").map(drop)
}

pub async fn objects_of_all_namespaces_are_listed(place: &Place) -> Result<()> {
    let mut body = config_map("a", "1");
    body["metadata"]["labels"]["of"] = place.namespace.as_str().into();
    place.post(&place.config_maps(""), &body).await?.is(201)?;
    let path = format!("/api/v1/configmaps?labelSelector=of%3D{}", place.namespace);
    let list = place.get(&path).await?.is(200)?;
    let home = list["items"][0]["metadata"]["namespace"] == place.namespace.as_str();
    expect(names(&list) == ["a"] && home && list["kind"] == "ConfigMapList", "not listed", &list)
}

pub async fn a_table_is_listed(place: &Place) -> Result<()> {
    place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let table = place.accepting(&place.gadgets(""), accept).await?.is(200)?;
    expect(table["kind"] == "Table" && table["rows"][0]["cells"][0] == "a", "no table", &table)
}

pub async fn a_custom_field_selects(place: &Place) -> Result<()> {
    place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    let mut other = gadget("b");
    other["spec"]["colour"] = "blue".into();
    place.post(&place.gadgets(""), &other).await?.is(201)?;
    let list = place.get(&place.gadgets("?fieldSelector=spec.colour%3Dblue")).await?.is(200)?;
    expect(names(&list) == ["b"], "wrong names", &list)
}
