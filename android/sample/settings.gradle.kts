pluginManagement {
    repositories { google(); mavenCentral(); gradlePluginPortal() }
}
dependencyResolutionManagement {
    repositories {
        google()
        mavenCentral()
        maven { url = uri("../../build/android/maven") } // make android
    }
}
rootProject.name = "WhitSample"
include(":app")
